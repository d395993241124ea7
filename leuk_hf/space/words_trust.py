"""Words of the tab "How good is it?". There is no figure in here: every one comes from results.json."""

TEXTS = {
    "en": {
        "trust_title": "How good is it?",
        "trust_intro": (
            "All figures on this page are read from the results.json of the checkpoint in use"
            " ({model}); none was typed by hand. Behind a share stands its {level} interval. Had the"
            " test been repeated many times, each time with other fields of the same kind,"
            " {level} of the intervals made in this way would hold the share that all fields of this"
            " kind give; of other slides and laboratories they say nothing. Bars run from {zero} to"
            " {full}, with the interval as a band."
        ),
        "trust_none": (
            "The checkpoint in use ({model}) brings no results.json. Nothing is known of how good it"
            " is: take its answers as untested."
        ),
        "trust_unreadable": (
            "The results.json of the checkpoint in use ({model}) cannot be shown: it is not of the"
            " form that this version writes. Take its answers as untested."
        ),
        "trust_card_right": "right on test fields of slides it knows, mean of the classes ({fields} fields)",
        "trust_card_sessions": (
            "right where {share} of the test fields are of sessions at the microscope that were wholly left out:"
            " networks of the recipe {recipe}, trained anew for this (protocol {protocol})"
        ),
        "trust_card_removed": "right once every leukocyte is removed; guessing gives {chance}",
        "trust_card_moved": "of its answers change under the worst change that leaves the cells as they are: {row}",
        "trust_card_sets": "of its prediction sets hold the true class; a set has {size} classes on average",
        "trust_right": "How often it is right",
        "trust_protocol": "Protocol {protocol}, part {part}: {fields} fields.",
        "trust_protocol_random": (
            "Fields were dealt out at random, so that copies and neighbours of a test field were"
            " learned from. This flatters; it is here only for comparison with publications."
        ),
        "trust_protocol_grouped": (
            "Test fields show other places than those it learned from, but of the same slides and"
            " sessions. Other patients and laboratories are not in this figure."
        ),
        "trust_protocol_reference": (
            "A given table leaves out other styles of scale bar and the end of one scan: some of its test fields"
            " are of sessions at the microscope that were left out whole, of the others' sessions it knows fields."
        ),
        "trust_protocol_acquisition": "Whole sessions at the microscope were left out of the training.",
        "trust_recipes": "Of networks trained for comparison, not of the checkpoint in use; each column is a recipe.",
        "trust_recipe_epochs": "{recipe}, {epochs} epochs",
        "trust_without": "Fields of {classes} are left out here.",
        "trust_other_figures": "The other figures",
        "trust_session_words": "The same session by session: share right, on the mean of the runs.",
        "trust_session": "session",
        "trust_session_trained": "fields of it learned from",
        "trust_measure": "measure",
        "trust_figure": "figure ({level} interval)",
        "trust_class": "class",
        "trust_fields": "fields",
        "trust_sensitivity": "sensitivity: found among fields of the class",
        "trust_specificity": "specificity: left alone among all others",
        "trust_coverage": "true class in the prediction set",
        "trust_metric_accuracy": "accuracy (share of all answers that are right)",
        "trust_metric_balanced_accuracy": "balanced accuracy (mean sensitivity of the classes)",
        "trust_metric_macro_f1": (
            "macro F-score (precision, the share right among the answers of a class, with sensitivity)"
        ),
        "trust_metric_mean_auroc": "mean AUROC (order of the probabilities)",
        "trust_metric_malignant_sensitivity_at_95_specificity": "sensitivity for malignant at {share} specificity",
        "trust_metric_expected_calibration_error": "expected calibration error (none is best)",
        "trust_metric_brier_score": "Brier score (none is best)",
        "trust_confusion": "Which classes it mixes up",
        "trust_confusion_caption": (
            "Rows are the true class, columns the answer; numbers are fields. The darker, the larger"
            " the share of the row."
        ),
        "trust_true": "true",
        "trust_said": "answer",
        "trust_reliability": "Do its probabilities mean what they say?",
        "trust_reliability_caption": (
            "Fields are sorted by the probability of the answer. On the dotted line a probability"
            " means what it says; below it, the checkpoint is too sure of itself. Lines are {level}"
            " intervals."
        ),
        "trust_reliability_alt": (
            "Reliability diagram of {fields} fields in {bins} bins: mean probability against share"
            " right. The table below has the same figures."
        ),
        "trust_reliability_table": "The diagram as a table",
        "trust_probability": "mean probability of the answer",
        "trust_share_right": "share right",
        "trust_sets": "Prediction sets and refusal",
        "trust_sets_words": (
            "Where one class is not enough, the answer names a set of classes. It holds the true"
            " class in {coverage} of the fields and has {size} classes on average. Sets are fitted"
            " class by class on fields of the same sessions."
        ),
        "trust_refusal_words": (
            "An image unlike the training fields is refused, with the reason. Of images that are no"
            " such smear most should be refused, of usable fields hardly one."
        ),
        "trust_images": "images",
        "trust_refused": "refused",
        "trust_auroc": "AUROC (told apart from usable fields)",
        "trust_usable": "usable fields",
        "trust_answered": (
            "Of the test fields it answers {answered}; of these the mean of the classes right is {accuracy}."
        ),
        "trust_fails": "Where it fails",
        "trust_fails_words": (
            "Sentences are chosen by rule from the figures, by the bound of the interval that speaks against them."
        ),
        "trust_fails_none": "No rule found a goal that is missed; that is no proof that there is none.",
        "trust_holds": "What the figures support",
        "trust_not_shown": "Not shown by this:",
        "trust_data": "Where the data come from",
        "trust_data_public": (
            "Aria M. et al., “Acute Lymphoblastic Leukemia (ALL) image dataset”, Kaggle: fields of"
            " peripheral blood smears of patients of one hospital in Tehran, labelled after flow"
            " cytometry. Terms stated there: Open Database, contents © original authors. No image of"
            " it is part of this page or of the package."
        ),
        "trust_data_unknown": "The file does not say on which images the figures were measured.",
        "trust_data_counts": (
            "{fields} fields: {copies} are exact copies of another, {overlaps} pairs show the same"
            " place; {groups} groups that no split may part."
        ),
        "trust_limits": "What these data cannot show",
        "trust_limits_words": (
            "There are no patient ids, so fields of one patient may be on both sides of any split."
            " All slides come from one hospital, with its stain, microscope and camera. Nearly all of"
            " Pro-B looks like one continuous scan, so what sets Pro-B apart may be that scan. Early"
            " Pre-B, Pre-B and Pro-B are immunophenotypes: that they can be told apart by looks alone"
            " is what the labels assume, not what these data prove. None of this is about a patient:"
            " it is no medical device."
        ),
        "trust_made": "What every figure was made by",
        "trust_made_all": "{number} entries: command, commit and date",
        "trust_all_changes": "All {number} changes",
        "trust_made_entry": "figures",
        "trust_made_command": "command",
        "trust_made_commit": "commit",
        "trust_made_date": "date",
    },
    "fa": {
        "trust_title": "چقدر درست است؟",
        "trust_intro": (
            "همهٔ عددهای این صفحه از پروندهٔ results.json مدلِ در حال کار ({model}) خوانده می‌شوند و"
            " هیچ‌یک دستی نوشته نشده است. پس از هر سهم، بازهٔ {level} آن آمده است. اگر آزمون بارها، هر"
            " بار با میدان‌های دیگری از همین نوع، تکرار می‌شد، {level} از بازه‌هایی که چنین ساخته می‌شوند"
            " سهمی را در بر داشتند که همهٔ میدان‌های این نوع می‌دهند؛ دربارهٔ لام‌ها و آزمایشگاه‌های دیگر"
            " چیزی نمی‌گویند. نوارها از {zero} تا {full} کشیده شده‌اند و بازه به شکل پهنه‌ای روی آن‌هاست."
        ),
        "trust_none": (
            "مدلِ در حال کار ({model}) پروندهٔ results.json ندارد. دانسته نیست چقدر درست است:"
            " پاسخ‌هایش را آزموده‌نشده بدانید."
        ),
        "trust_unreadable": (
            "پروندهٔ results.json مدلِ در حال کار ({model}) را نمی‌توان نشان داد، زیرا به شکلی که این"
            " نسخه می‌نویسد نیست. پاسخ‌هایش را آزموده‌نشده بدانید."
        ),
        "trust_card_right": "درست، روی میدان‌های آزمون از لام‌هایی که می‌شناسد؛ میانگین رده‌ها ({fields} میدان)",
        "trust_card_sessions": (
            "درست، جایی که {share} میدان‌های آزمون از نشست‌های میکروسکوپ‌اند که یکسره کنار گذاشته شدند: شبکه‌هایی به شیوهٔ"
            " {recipe} که برای همین از نو آموزش دیدند (پروتکل {protocol})"
        ),
        "trust_card_removed": "درست، پس از حذف همهٔ لکوسیت‌ها؛ حدس زدن {chance} می‌دهد",
        "trust_card_moved": "از پاسخ‌ها در بدترین تغییری که به سلول‌ها دست نمی‌زند عوض می‌شود: {row}",
        "trust_card_sets": ("از مجموعه‌های پیش‌بینی ردهٔ درست را در بر دارند؛ هر مجموعه به‌طور میانگین {size} رده دارد"),
        "trust_right": "چند بار درست می‌گوید",
        "trust_protocol": "پروتکل {protocol}، بخش {part}: {fields} میدان.",
        "trust_protocol_random": (
            "میدان‌ها تصادفی تقسیم شده‌اند، پس رونوشت‌ها و همسایه‌های میدان آزمون در آموزش بوده‌اند."
            " این عدد خوش‌بینانه است و فقط برای مقایسه با مقاله‌ها آمده است."
        ),
        "trust_protocol_grouped": (
            "میدان‌های آزمون جاهای دیگری را نشان می‌دهند، ولی از همان لام‌ها و همان نشست‌های"
            " تصویربرداری. بیماران و آزمایشگاه‌های دیگر در این عدد نیستند."
        ),
        "trust_protocol_reference": (
            "جدولی معین سبک‌های دیگر خط مقیاس و پایان یک اسکن را کنار می‌گذارد: برخی میدان‌های آزمونش از نشست‌هایی‌اند"
            " که کامل کنار گذاشته شدند، و از نشست‌های باقی میدان‌هایی را می‌شناسد."
        ),
        "trust_protocol_acquisition": "نشست‌های کامل تصویربرداری از آموزش کنار گذاشته شده‌اند.",
        "trust_recipes": "دربارهٔ شبکه‌هایی که برای مقایسه آموزش دیده‌اند، نه مدل در حال استفاده؛ هر ستون یک شیوه است.",
        "trust_recipe_epochs": "{recipe}، {epochs} دوره",
        "trust_without": "میدان‌های {classes} اینجا کنار گذاشته شده‌اند.",
        "trust_other_figures": "عددهای دیگر",
        "trust_session_words": "همان، نشست به نشست: سهم درست، میانگین اجراها.",
        "trust_session": "نشست",
        "trust_session_trained": "میدان‌های آموخته از آن",
        "trust_measure": "سنجه",
        "trust_figure": "مقدار (بازهٔ {level})",
        "trust_class": "رده",
        "trust_fields": "میدان‌ها",
        "trust_sensitivity": "حساسیت: یافته‌شده میان میدان‌های همان رده",
        "trust_specificity": "ویژگی: کنارگذاشته‌شده میان بقیه",
        "trust_coverage": "ردهٔ درست در مجموعهٔ پیش‌بینی",
        "trust_metric_accuracy": "دقت (accuracy: سهم پاسخ‌های درست میان همه)",
        "trust_metric_balanced_accuracy": "دقت متوازن (میانگین حساسیت رده‌ها)",
        "trust_metric_macro_f1": (
            "میانگین امتیاز F رده‌ها (صحت، precision: سهم درست میان پاسخ‌های هر رده، همراه با حساسیت)"
        ),
        "trust_metric_mean_auroc": "میانگین AUROC (ترتیب احتمال‌ها)",
        "trust_metric_malignant_sensitivity_at_95_specificity": "حساسیت برای بدخیم در ویژگی {share}",
        "trust_metric_expected_calibration_error": "خطای کالیبراسیون مورد انتظار (صفر بهترین است)",
        "trust_metric_brier_score": "امتیاز Brier (صفر بهترین است)",
        "trust_confusion": "کدام رده‌ها را با هم اشتباه می‌گیرد",
        "trust_confusion_caption": (
            "سطرها ردهٔ درست و ستون‌ها پاسخ‌اند؛ عددها شمار میدان‌هاست. هرچه تیره‌تر، سهم بیشتری از آن سطر."
        ),
        "trust_true": "درست",
        "trust_said": "پاسخ",
        "trust_reliability": "آیا احتمال‌هایش راست می‌گویند؟",
        "trust_reliability_caption": (
            "میدان‌ها بر پایهٔ احتمال پاسخ مرتب شده‌اند. روی خط نقطه‌چین، احتمال همان است که می‌گوید؛"
            " زیر آن، مدل بیش از اندازه مطمئن است. خط‌ها بازهٔ {level} هستند."
        ),
        "trust_reliability_alt": (
            "نمودار اعتمادپذیری {fields} میدان در {bins} دسته: میانگین احتمال در برابر سهم پاسخ‌های"
            " درست. جدول زیر همین عددها را دارد."
        ),
        "trust_reliability_table": "نمودار به شکل جدول",
        "trust_probability": "میانگین احتمال پاسخ",
        "trust_share_right": "سهم درست",
        "trust_sets": "مجموعه‌های پیش‌بینی و رد کردن",
        "trust_sets_words": (
            "هر جا یک رده کافی نباشد، پاسخ مجموعه‌ای از رده‌هاست. این مجموعه در {coverage} میدان‌ها"
            " ردهٔ درست را در بر دارد و به‌طور میانگین {size} رده دارد. مجموعه‌ها رده به رده روی"
            " میدان‌های همان نشست‌ها تنظیم شده‌اند."
        ),
        "trust_refusal_words": (
            "تصویری که به میدان‌های آموزش نمی‌ماند، با ذکر دلیل رد می‌شود. از تصویرهایی که چنین لامی"
            " نیستند باید بیشترشان رد شوند و از میدان‌های قابل‌استفاده تقریباً هیچ‌یک."
        ),
        "trust_images": "تصویرها",
        "trust_refused": "ردشده",
        "trust_auroc": "AUROC (جدا شدن از میدان‌های قابل‌استفاده)",
        "trust_usable": "میدان‌های قابل‌استفاده",
        "trust_answered": ("به {answered} میدان‌های آزمون پاسخ می‌دهد؛ میانگین درستی رده‌ها در این‌ها {accuracy} است."),
        "trust_fails": "کجا شکست می‌خورد",
        "trust_fails_words": ("جمله‌ها با قاعده از روی عددها برگزیده می‌شوند، بر پایهٔ آن سرِ بازه که به زیان جمله است."),
        "trust_fails_none": "هیچ قاعده‌ای هدفی ازدست‌رفته نیافت؛ این ثابت نمی‌کند که چنین هدفی نیست.",
        "trust_holds": "عددها از چه پشتیبانی می‌کنند",
        "trust_not_shown": "این نشان نمی‌دهد:",
        "trust_data": "داده‌ها از کجا آمده‌اند",
        "trust_data_public": (
            "Aria M. و همکاران، «Acute Lymphoblastic Leukemia (ALL) image dataset»، Kaggle: میدان‌های"
            " دید لام خون محیطی از بیماران یک بیمارستان در تهران که پس از فلوسیتومتری برچسب"
            " خورده‌اند. شرایط اعلام‌شده در آنجا: Open Database، حق محتوا از آنِ نویسندگان اصلی. هیچ"
            " تصویری از آن در این صفحه یا این بسته نیست."
        ),
        "trust_data_unknown": "پرونده نمی‌گوید عددها روی چه تصویرهایی اندازه‌گیری شده‌اند.",
        "trust_data_counts": (
            "{fields} میدان: {copies} میدان رونوشت دقیق میدان دیگری است و {overlaps} جفت یک جا را نشان"
            " می‌دهند؛ {groups} گروه که هیچ تقسیمی نباید از هم جدایشان کند."
        ),
        "trust_limits": "این داده‌ها چه چیزی را نمی‌توانند نشان دهند",
        "trust_limits_words": (
            "شناسهٔ بیمار وجود ندارد، پس میدان‌های یک بیمار می‌تواند در هر دو سوی هر تقسیم باشد. همهٔ"
            " لام‌ها از یک بیمارستان‌اند با رنگ‌آمیزی، میکروسکوپ و دوربین خودش. تقریباً همهٔ Pro-B به"
            " یک اسکن پیوسته می‌ماند، پس شاید آنچه Pro-B را جدا می‌کند همان اسکن باشد. Early Pre-B،"
            " Pre-B و Pro-B ایمونوفنوتیپ‌اند: اینکه تنها از روی ظاهر جداشدنی باشند فرض برچسب‌هاست و"
            " این داده‌ها آن را ثابت نمی‌کنند. هیچ‌یک از این‌ها دربارهٔ یک بیمار نیست: این برنامه"
            " ابزار پزشکی نیست."
        ),
        "trust_made": "هر عدد از کجا به دست آمده است",
        "trust_made_all": "{number} مورد: فرمان، کامیت و تاریخ",
        "trust_all_changes": "همهٔ {number} تغییر",
        "trust_made_entry": "عددها",
        "trust_made_command": "فرمان",
        "trust_made_commit": "کامیت",
        "trust_made_date": "تاریخ",
    },
}
