"""What the figures of a checkpoint support, and by which evidence, in the page's other languages.

Shared contract: keys are the templates of the sentences of `leuk_hf.claims`, `leuk_hf.audit_claims` and
`leuk_hf.audit_findings`; a language
needs all of them. There is no figure in here.
"""

SENTENCES = {
    "fa": {
        "{before}; {after}": "{before}؛ {after}",
        "{before}, {after}": "{before}، {after}",
        "{before} {after}": "{before} {after}",
        "{name}: {figure}": "{name}: {figure}",
        "{name}, {epochs} epochs: {figure}": "{name}، {epochs} دوره: {figure}",
        "not defined": "تعریف‌نشده",
        "It tells the classes apart on fields like those it was trained on (protocol `{protocol}`).": (
            "روی میدان‌هایی مانند میدان‌های آموزش، رده‌ها را از هم جدا می‌کند (پروتکل {protocol})."
        ),
        "It does not always tell the classes apart, even on fields like those it was trained on (protocol"
        " `{protocol}`).": (
            "حتی روی میدان‌هایی مانند میدان‌های آموزش، همیشه رده‌ها را از هم جدا نمی‌کند (پروتکل {protocol})."
        ),
        "It tells the classes apart in sessions left out of training (protocol `{protocol}`).": (
            "در نشست‌های کنارگذاشته‌شده رده‌ها را از هم جدا می‌کند (پروتکل {protocol})."
        ),
        "It does not always tell the classes apart in sessions left out of training (protocol `{protocol}`).": (
            "در نشست‌های کنارگذاشته‌شده همیشه رده‌ها را از هم جدا نمی‌کند (پروتکل {protocol})."
        ),
        "balanced accuracy {figure}, {fields} test fields": "دقت متوازن {figure}، {fields} میدان آزمون",
        "How it does on slides of another session, laboratory or patient.": (
            "روی لام‌های نشست، آزمایشگاه یا بیمار دیگر چگونه است."
        ),
        "How it does on slides of another laboratory or patient.": "روی لام‌های آزمایشگاه یا بیمار دیگر چگونه است.",
        "So often these recipes are right on the test part of protocol `{protocol}` (balanced).": (
            "این شیوه‌های آموزش روی بخش آزمون پروتکل {protocol} این اندازه درست می‌گویند (متوازن)."
        ),
        "{before}; {number} fields ({share} %) are of sessions wholly left out of training": (
            "{before}؛ {number} میدان ({share} درصد) از نشست‌هایی است که یکسره از آموزش کنار گذاشته شدند"
        ),
        "In each session that they learned nothing of, networks trained for comparison are mostly right (protocol"
        " `{protocol}`).": (
            "شبکه‌های مقایسه در هر نشستی که چیزی از آن نیاموخته‌اند بیشتر درست می‌گویند (پروتکل {protocol})."
        ),
        "In sessions that they learned nothing of, networks trained for comparison are right less often (protocol"
        " `{protocol}`).": (
            "شبکه‌های مقایسه در نشست‌هایی که چیزی از آن‌ها نیاموخته‌اند کمتر درست می‌گویند (پروتکل {protocol})."
        ),
        "In some sessions that they learned nothing of, networks trained for comparison are mostly wrong (protocol"
        " `{protocol}`).": (
            "نشست‌هایی هست که شبکه‌های مقایسه چیزی از آن‌ها نیاموخته‌اند و در آن‌ها بیشتر نادرست می‌گویند"
            " (پروتکل {protocol})."
        ),
        "{session} ({label}, {fields} fields): {shares}": "{session} ({label}، {fields} میدان): {shares}",
        "What they do in further sessions: these are few, and differ more than any interval says.": (
            "اینکه در نشست‌های دیگر چه می‌کنند: این‌ها اندک‌اند و بیش از آنچه هر بازه‌ای می‌گوید با هم فرق دارند."
        ),
        "What these very weights do there, for networks were trained anew for it; what any does for other patients:"
        " the sessions of a class may be of the same ones, and nothing in the data tells.": (
            "اینکه همین وزن‌ها آنجا چه می‌کنند، چون برای آن شبکه‌ها از نو آموزش دیدند؛ و بیماران دیگر: شاید نشست‌های یک"
            " رده از همان بیماران باشند و چیزی در داده‌ها این را نمی‌گوید."
        ),
        "Without leukocytes it does not know the class.": "بدون لکوسیت‌ها رده را نمی‌داند.",
        "It names classes also without leukocytes.": "بدون لکوسیت‌ها هم رده نام می‌برد.",
        "balanced accuracy {figure} with every leukocyte removed": "دقت متوازن {figure} پس از حذف همهٔ لکوسیت‌ها",
        "It refuses fields without leukocytes.": "میدان‌های بدون لکوسیت را رد می‌کند.",
        "Fields without leukocytes are not always refused.": "میدان‌های بدون لکوسیت همیشه رد نمی‌شوند.",
        "refused {figure} ({row}), the least of {number} ways of removing them": (
            "ردشده {figure} ({row})، کمترین در میان {number} راه حذف"
        ),
        "That there are leukocytes wherever it answers: what is left of some, burst ones among them, or painted with"
        " their colour and grain, can be enough for it.": (
            "اینکه هرجا پاسخ می‌دهد لکوسیتی هست: بازماندهٔ برخی، از جمله سلول‌های ترکیده، یا آنچه با رنگ و دانه‌بندی آن‌ها"
            " کشیده شده، می‌تواند برایش کافی باشد."
        ),
        "{before}, refused {figure}": "{before}، ردشده {figure}",
        "That it reads in them what a haematologist reads.": ("اینکه در آن‌ها همان را می‌خواند که هماتولوژیست می‌خواند."),
        "Where there is nothing but what it takes for leukocytes by mistake, it is sure of a class.": (
            "جایی که جز آنچه به‌اشتباه لکوسیت می‌پندارد چیزی نیست، به رده‌ای اطمینان دارد."
        ),
        "Where there is nothing to judge by, it is not sure of any class.": (
            "جایی که چیزی برای داوری نیست، به هیچ رده‌ای اطمینان ندارد."
        ),
        "mean top probability {probability} ({row})": "میانگین بالاترین احتمال {probability} ({row})",
        "That a high probability means that there is something to see; heed refusals first.": (
            "اینکه احتمال بالا یعنی چیزی برای دیدن هست؛ نخست به ردکردن‌ها توجه کنید."
        ),
        "Number, size and outlines of the leukocytes tell it a part.": (
            "شمار، اندازه و پیرامون لکوسیت‌ها بخشی از پاسخ را به آن می‌گویند."
        ),
        "Number, size and outlines of the leukocytes alone do not tell it the class.": (
            "شمار، اندازه و پیرامون لکوسیت‌ها به‌تنهایی رده را به آن نمی‌گویند."
        ),
        "balanced accuracy {figure} on flat silhouettes": "دقت متوازن {figure} روی سایه‌نماهای یکدست",
        "{before}; {changed} of labels change with half of the leukocytes removed": (
            "{before}؛ با حذف نیمی از لکوسیت‌ها {changed} پاسخ‌ها عوض می‌شوند"
        ),
        "Whether they may: size and shape belong to what is described, number to how the slide was made.": (
            "اینکه آیا رواست: اندازه و شکل از چیزهایی‌اند که توصیف می‌شوند، شمار به ساختن لام برمی‌گردد."
        ),
        "Leukocytes are enough for it.": "لکوسیت‌ها برایش کافی‌اند.",
        "Leukocytes alone are not enough for it.": "لکوسیت‌ها به‌تنهایی برایش کافی نیستند.",
        "balanced accuracy {alone} on leukocytes alone, {whole} on whole fields": (
            "دقت متوازن {alone} تنها با لکوسیت‌ها، {whole} با میدان کامل"
        ),
        "{before}; leukocytes alone are refused: {figure}": "{before}؛ تنها لکوسیت‌ها رد می‌شوند: {figure}",
        "Which property of them decides.": "اینکه کدام ویژگی آن‌ها پاسخ را تعیین می‌کند.",
        "On another background its label stays with the leukocytes.": "روی زمینهٔ دیگر، پاسخش با لکوسیت‌ها می‌ماند.",
        "On another background its label does not always stay with the leukocytes.": (
            "روی زمینهٔ دیگر، پاسخش همیشه با لکوسیت‌ها نمی‌ماند."
        ),
        "changed {changed}, goes with the background {goes}, right {right}": (
            "عوض‌شده {changed}، با زمینه می‌رود {goes}، درست {right}"
        ),
        "What it does on backgrounds of other laboratories.": "روی زمینهٔ آزمایشگاه‌های دیگر چه می‌کند.",
        "Colour hardly moves it.": "رنگ تقریباً اثری بر آن ندارد.",
        "Colour still moves it.": "رنگ هنوز بر آن اثر می‌گذارد.",
        "changed {figure} in another class's colours": "با رنگ‌های ردهٔ دیگر عوض‌شده {figure}",
        "Stains that change which structures are visible.": "رنگ‌آمیزی‌هایی که ساختارهای پیدا را عوض می‌کنند.",
        "It bears other light and other hues.": "نور و فام دیگر را تاب می‌آورد.",
        "In other light or another hue it is right less often.": "در نور یا فام دیگر کمتر درست می‌گوید.",
        "accuracy {figure} at the worst of {number} changes ({row}), {clean} as they are": (
            "دقت {figure} در بدترین از {number} تغییر ({row})، {clean} بدون تغییر"
        ),
        "Cameras and lamps that change more than this.": "دوربین‌ها و لامپ‌هایی که بیش از این تغییر می‌دهند.",
        "Fields at another magnification are refused, or read as well.": (
            "میدان‌هایی با بزرگ‌نمایی دیگر رد می‌شوند یا به همان خوبی خوانده می‌شوند."
        ),
        "Fields at another magnification are often not refused, and read wrongly.": (
            "میدان‌هایی با بزرگ‌نمایی دیگر اغلب رد نمی‌شوند و نادرست خوانده می‌شوند."
        ),
        "accuracy {figure} at the worst of {number} ({row}), refused {refused}": (
            "دقت {figure} در بدترین از {number} ({row})، رد شده {refused}"
        ),
        "Which magnification an image has: give whole fields like those it was trained on.": (
            "این که تصویر چه بزرگ‌نمایی‌ای دارد: میدان‌های کاملی مانند میدان‌های آموزش بدهید."
        ),
        "Its probabilities mean what they say.": "احتمال‌هایش همان‌اند که می‌گویند.",
        "Its probabilities are roughly right.": "احتمال‌هایش کم‌وبیش درست‌اند.",
        "Its probabilities do not mean what they say.": "احتمال‌هایش آن نیستند که می‌گویند.",
        "expected calibration error {figure} (`{name}`)": "خطای کالیبراسیون مورد انتظار {figure} ({name})",
        "Probabilities in other laboratories, where the mix of classes and the slides differ.": (
            "احتمال‌ها در آزمایشگاه‌های دیگر، با آمیزهٔ رده‌ها و لام‌های دیگر."
        ),
        "The prediction set holds the true class, of each class, about as often as promised ({promised}).": (
            "مجموعهٔ پیش‌بینی، در هر رده، کم‌وبیش به اندازهٔ وعده‌شده ({promised}) ردهٔ درست را در بر دارد."
        ),
        "The prediction set may hold the true class less often than promised ({promised}).": (
            "مجموعهٔ پیش‌بینی شاید کمتر از وعده ({promised}) ردهٔ درست را در بر داشته باشد."
        ),
        "coverage {figure} at worst ({label}), mean size {size} of {classes}": (
            "پوشش {figure} در بدترین رده ({label})، میانگین اندازه {size} از {classes}"
        ),
        "Coverage on fields that are not drawn like the calibration fields.": (
            "پوشش روی میدان‌هایی که مانند میدان‌های کالیبراسیون برداشته نشده‌اند."
        ),
        "{name}: {share} % refused, AUROC {auroc}": "{name}: {share} % ردشده، AUROC {auroc}",
        "usable fields refused: {share} %": "میدان‌های قابل‌استفادهٔ ردشده: {share} %",
        "It tells other images than fields like its own from usable ones.": (
            "تصویرهایی را که مانند میدان‌های خودش نیستند از میدان‌های قابل‌استفاده بازمی‌شناسد."
        ),
        "It does not tell all other images than fields like its own from usable ones.": (
            "همهٔ تصویرهایی را که مانند میدان‌های خودش نیستند از میدان‌های قابل‌استفاده بازنمی‌شناسد."
        ),
        "{what} ({name})": "{what} ({name})",
        "photographs": "عکس‌های معمولی",
        "stained tissue": "بافت رنگ‌آمیزی‌شده",
        "blood smears of another laboratory": "گسترش‌های خون از آزمایشگاه دیگر",
        "That what it answers is a usable smear: there are more kinds of junk than these.": (
            "اینکه هرچه پاسخ می‌گیرد لام قابل‌استفاده است: تصویرهای نامربوط گونه‌های دیگری هم دارند."
        ),
        "No map is shown to be true to it.": "نشان داده نشده که نقشه‌ای به آن وفادار است.",
        "no gain over random blocks ({name})": "بدون برتری بر قطعه‌های تصادفی ({name})",
        "That its maps are false.": "اینکه نقشه‌هایش نادرست‌اند.",
        "Its map lies on leukocytes, and what it shows matters for the answer.": (
            "نقشه‌اش روی لکوسیت‌هاست و آنچه نشان می‌دهد برای پاسخ مهم است."
        ),
        "What its map shows matters for the answer, but part of it lies beside leukocytes.": (
            "آنچه نقشه‌اش نشان می‌دهد برای پاسخ مهم است، ولی بخشی از آن بیرون از لکوسیت‌هاست."
        ),
        "{shares} of what the leukocytes' own map reaches on the same grid ({method}, {layer})": (
            "{shares} از آنچه نقشهٔ خود لکوسیت‌ها با همان شبکه به دست می‌آورد ({method}، {layer})"
        ),
        "Where its map is hot depends on what it has learned.": "جای داغ نقشه‌اش به آموخته‌هایش بستگی دارد.",
        "Where its map is hot is in part given by its architecture, not by what it has learned.": (
            "جای داغ نقشه‌اش تا اندازه‌ای از ساختار شبکه می‌آید، نه از آموخته‌هایش."
        ),
        "Nearly as much of its map lies on leukocytes as its coarse grid allows, but not always its hottest place.": (
            "تقریباً به اندازه‌ای که شبکهٔ درشتش اجازه می‌دهد نقشه‌اش روی لکوسیت‌هاست، اما داغ‌ترین جایش نه همیشه."
        ),
        "{before}; the hottest place is on a leukocyte in {shares} of the fields": (
            "{before}؛ داغ‌ترین جا در این سهم از میدان‌ها روی لکوسیت است: {shares}"
        ),
        "rank correlation with the map of a random network {network} ({label} {worst}), of a random classifier"
        " {classifier}, of random blocks {unrelated}": (
            "همبستگی رتبه‌ای با نقشهٔ شبکهٔ تصادفی {network} ({label} {worst})، رده‌بند تصادفی {classifier}، قطعه‌های"
            " تصادفی {unrelated}"
        ),
        "Which part: a network that sees leukocytes alone marks them whatever its weights.": (
            "اینکه تا چه اندازه: شبکه‌ای که تنها لکوسیت می‌بیند، با هر وزنی همان‌ها را نشان می‌دهد."
        ),
        "What about a leukocyte decides; where only leukocytes can be seen, a map on them is no merit.": (
            "اینکه چه چیزِ لکوسیت تعیین‌کننده است؛ جایی که فقط لکوسیت دیده می‌شود، بودنِ نقشه روی آن‌ها هنر نیست."
        ),
        "On untouched fields it scores {figure} balanced (chance {chance}); what knows nothing has no shortcut to"
        " show.": (
            "روی میدان‌های دست‌نخورده دقت متوازن {figure} دارد (حدس زدن {chance})؛ آنچه چیزی نمی‌داند میان‌بری هم ندارد."
        ),
        "With every leukocyte removed it scores {accuracy} (balanced {balanced}, chance {chance}), mean top"
        " probability {probability}{refused}.": (
            "پس از حذف همهٔ لکوسیت‌ها دقت {accuracy} دارد (متوازن {balanced}، حدس زدن {chance})، میانگین احتمال پاسخ"
            " {probability}{refused}."
        ),
        ", refused {figure}": "، ردشده {figure}",
        "Leukocytes put on another class's emptied field: the label follows the background in {background}, the"
        " leukocytes in {leukocytes} of fields{kept}.": (
            "لکوسیت‌ها روی میدان خالی‌شدهٔ ردهٔ دیگر: پاسخ در {background} میدان‌ها در پی زمینه و در {leukocytes} در پی"
            " لکوسیت‌ها می‌رود{kept}."
        ),
        "; on another background of their own class {figure} are right": (
            "؛ روی زمینهٔ دیگری از ردهٔ خودشان {figure} درست‌اند"
        ),
        "Swapping a corner with another class's changes {changed} of predictions at most ({moving}); of the answers"
        " with another {worst} corner {followed} are its class ({expected} by chance); from the {best} corner alone it"
        " scores {alone} balanced (chance {chance}).": (
            "گوشه‌ای که از ردهٔ دیگر باشد حداکثر {changed} پاسخ‌ها را عوض می‌کند ({moving})؛ از پاسخ‌ها با گوشهٔ دیگر"
            " {worst}، {followed} ردهٔ همان گوشه‌اند (به‌تصادف {expected})؛ تنها از گوشهٔ {best} دقت متوازن {alone} دارد"
            " (حدس زدن {chance})."
        ),
        "With another class's colour statistics {changed} of predictions change; {followed} of the answers are the"
        " class whose colours they are ({expected} by chance).": (
            "با رنگ‌های ردهٔ دیگر {changed} پاسخ‌ها عوض می‌شوند؛ {followed} پاسخ‌ها ردهٔ صاحب همان رنگ‌اند (به‌تصادف"
            " {expected})."
        ),
        "What it tells from silhouettes is not held against it, as it refuses them.": (
            "آنچه از سایه‌نماها می‌گوید به حسابش گذاشته نمی‌شود، چون آن‌ها را رد می‌کند."
        ),
        "In grey it scores {figure}.": "بدون رنگ دقت {figure} دارد.",
        "From flat silhouettes it scores {figure} balanced (chance {chance}){refused}; with half of the leukocytes"
        " removed {changed} of predictions change{control}.": (
            "تنها از سایه‌نما دقت متوازن {figure} دارد (حدس زدن {chance}){refused}؛ با حذف نیمی از لکوسیت‌ها {changed}"
            " پاسخ‌ها عوض می‌شوند{control}."
        ),
        " (sham removal: {figure})": " (حذف کنترل: {figure})",
        "On leukocytes alone it scores {alone} balanced{refused}, on whole fields {whole}.": (
            "تنها با لکوسیت‌ها دقت متوازن {alone} دارد{refused}، با میدان کامل {whole}."
        ),
        "Equal holes off the leukocytes change {figure} of predictions{drawn}.": (
            "سوراخ‌های هم‌اندازه دور از لکوسیت‌ها {figure} پاسخ‌ها را عوض می‌کنند{drawn}."
        ),
        "; another class's holes, added to an emptied field, draw {figure} to it": (
            "؛ سوراخ‌های ردهٔ دیگر، افزوده به میدان خالی‌شده، {figure} را به سوی آن رده می‌کشند"
        ),
        "{number} of {all} changes that leave the cells alone certainly move more than {limit}: {rows}; the worst,"
        " {worst}, moves {changed}.": (
            "{number} تغییر از {all} تغییری که به سلول‌ها دست نمی‌زنند به‌یقین بیش از {limit} پاسخ‌ها را عوض می‌کنند:"
            " {rows}؛ بدترین، {worst}، {changed}."
        ),
        "{number} of {all} changes that leave the cells alone certainly move more than {limit}; the worst,"
        " {worst}, moves {changed}.": (
            "{number} تغییر از {all} تغییری که به سلول‌ها دست نمی‌زنند به‌یقین بیش از {limit} پاسخ‌ها را عوض می‌کنند"
            "؛ بدترین، {worst}، {changed}."
        ),
    }
}
