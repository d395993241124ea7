"""Words of the audit of one field. There is no figure in here."""

TEXTS = {
    "en": {
        "trust_field_button": "Audit this field",
        "trust_field_heading": "Would this answer hold? Audit this field",
        "trust_field_what": (
            "Changes the field on purpose (leukocytes removed, alone, other light, other colours) and"
            " asks the model about each version. An answer that is read from the leukocytes goes with"
            " them and stays with them. Takes a few seconds; the versions are not kept."
        ),
        "trust_field_no_image": "There is no image; choose a field first.",
        "trust_field_cells": "Finding leukocytes",
        "trust_field_versions": "Changing the field and asking again",
        "trust_field_summary": "{sound} of {all} answers are as one must expect of somebody who reads leukocytes.",
        "trust_field_summary_bad": "{bad} are not: the answer to this field may rest on something else.",
        "trust_field_summary_reserved": "{reserved} changed without insisting: refused, or sure of no class.",
        "trust_field_one": (
            "One field proves little, in either direction. How often this happens over many fields"
            " stands in the tab “How good is it?”."
        ),
        "trust_field_not_telling": (
            "The model refuses the field as it is, or is sure of no class. There is no answer that"
            " could be kept, so what follows says little."
        ),
        "trust_field_no_leukocytes": (
            "No leukocyte was found in this field, so there is none to remove or to show alone."
        ),
        "trust_field_leukocytes": "Leukocytes found: {number}.",
        "trust_field_as_it_is": "The field as it is",
        "trust_field_refused": "refused",
        "trust_field_alt": "The field, changed: {title}",
        "trust_field_sound": "✓ as it should",
        "trust_field_unsound": "✗ not as it should",
        "trust_field_reserved": "? changed, without insisting",
        "trust_field_should": "Should:",
        "trust_field_did": "Did:",
        "trust_field_removed": "Leukocytes removed, holes filled smoothly",
        "trust_field_removed_should": "nothing is left to diagnose; refuse, or be sure of no class.",
        "trust_field_removed_cloned": "Leukocytes removed, holes filled with background",
        "trust_field_removed_cloned_should": "as before; this filling leaves no smooth patch that could be read.",
        "trust_field_alone": "Leukocytes alone, on grey",
        "trust_field_alone_should": "keep its class, for all that counts is still there; refusing is in order.",
        "trust_field_sham": "Equal holes beside the leukocytes (room for {amount} of them)",
        "trust_field_sham_should": "keep its class; if it does not, removal itself leaves traces that it reads.",
        "trust_field_corner": "One corner painted over: {detail}",
        "trust_field_corner_should": "keep its class; scale bars are in corners, diagnoses are not.",
        "trust_field_grey": "Without colour",
        "trust_field_grey_should": "keep its class, or refuse an image without stain.",
        "trust_field_darker": "Darker (light × {amount})",
        "trust_field_darker_should": "keep its class; the lamp says nothing of the cells.",
        "trust_field_brighter": "Brighter (light × {amount})",
        "trust_field_brighter_should": "keep its class, or refuse where the cells are burnt out.",
        "trust_field_colours": "In the colours of {detail}",
        "trust_field_colours_should": "keep its class; whoever reads the stain goes over to {detail}.",
        "trust_field_did_refuses": "refused the image.",
        "trust_field_did_unsure": "was sure of no class.",
        "trust_field_did_names": "still named {label}, without anything to name it by.",
        "trust_field_did_keeps": "kept {label}.",
        "trust_field_did_keeps_refused": "still held {label} most probable, and refused the image.",
        "trust_field_did_changes": "changed to {label}.",
        "trust_field_did_changes_refused": "held {label} more probable, but refused the image.",
        "trust_field_did_changes_unsure": "tended to {label}, but was sure of no class.",
        "trust_field_did_follows": "went over to {label}, whose colours it saw.",
    },
    "fa": {
        "trust_field_button": "ممیزی این میدان",
        "trust_field_heading": "آیا این پاسخ پایدار است؟ ممیزی این میدان",
        "trust_field_what": (
            "میدان را به‌عمد تغییر می‌دهد (بدون لکوسیت، فقط لکوسیت، نور دیگر، رنگ‌های دیگر) و از مدل"
            " دربارهٔ هر نسخه می‌پرسد. پاسخی که از لکوسیت‌ها خوانده شده باشد با آن‌ها می‌رود و با"
            " آن‌ها می‌ماند. چند ثانیه طول می‌کشد؛ نسخه‌ها نگه داشته نمی‌شوند."
        ),
        "trust_field_no_image": "تصویری نیست؛ نخست یک میدان برگزینید.",
        "trust_field_cells": "یافتن لکوسیت‌ها",
        "trust_field_versions": "تغییر دادن میدان و پرسش دوباره",
        "trust_field_summary": "{sound} پاسخ از {all} پاسخ چنان‌اند که از خوانندهٔ لکوسیت‌ها انتظار می‌رود.",
        "trust_field_summary_bad": "{bad} پاسخ چنین نیستند: شاید پاسخ این میدان بر چیز دیگری تکیه دارد.",
        "trust_field_summary_reserved": (
            "{reserved} پاسخ بدون پافشاری عوض شدند: رد شدند یا به هیچ رده‌ای مطمئن نبودند."
        ),
        "trust_field_one": (
            "یک میدان، چه به سود و چه به زیان، چیز زیادی ثابت نمی‌کند. اینکه این رفتار در میدان‌های"
            " بسیار چند بار رخ می‌دهد در برگهٔ «چقدر درست است؟» آمده است."
        ),
        "trust_field_not_telling": (
            "مدل همین میدان دست‌نخورده را رد می‌کند یا به هیچ رده‌ای مطمئن نیست. پاسخی نیست که بماند،"
            " پس آنچه در پی می‌آید چیز زیادی نمی‌گوید."
        ),
        "trust_field_no_leukocytes": "در این میدان لکوسیتی یافت نشد، پس چیزی برای حذف یا نشان دادن به‌تنهایی نیست.",
        "trust_field_leukocytes": "لکوسیت‌های یافته‌شده: {number}.",
        "trust_field_as_it_is": "میدان، دست‌نخورده",
        "trust_field_refused": "رد شد",
        "trust_field_alt": "میدان پس از تغییر: {title}",
        "trust_field_sound": "✓ چنان‌که باید",
        "trust_field_unsound": "✗ نه چنان‌که باید",
        "trust_field_reserved": "؟ عوض شد، بدون پافشاری",
        "trust_field_should": "چه باید بکند:",
        "trust_field_did": "چه کرد:",
        "trust_field_removed": "لکوسیت‌ها حذف شده، جای آن‌ها هموار پر شده",
        "trust_field_removed_should": "چیزی برای تشخیص نمانده؛ رد کند یا به هیچ رده‌ای مطمئن نباشد.",
        "trust_field_removed_cloned": "لکوسیت‌ها حذف شده، جای آن‌ها با زمینه پر شده",
        "trust_field_removed_cloned_should": "مانند بالا؛ این پرکردن لکهٔ همواری نمی‌گذارد که بتوان خواند.",
        "trust_field_alone": "فقط لکوسیت‌ها، روی خاکستری",
        "trust_field_alone_should": "رده را نگه دارد، زیرا هرچه مهم است هنوز هست؛ رد کردن هم بجاست.",
        "trust_field_sham": "سوراخ‌های هم‌اندازه کنار لکوسیت‌ها (برای {amount} آن‌ها جا بود)",
        "trust_field_sham_should": "رده را نگه دارد؛ وگرنه خودِ حذف ردی می‌گذارد که مدل می‌خواند.",
        "trust_field_corner": "یک گوشه پوشانده شده: {detail}",
        "trust_field_corner_should": "رده را نگه دارد؛ خط مقیاس در گوشه‌هاست، تشخیص نه.",
        "trust_field_grey": "بدون رنگ",
        "trust_field_grey_should": "رده را نگه دارد، یا تصویر بی‌رنگ را رد کند.",
        "trust_field_darker": "تیره‌تر (نور × {amount})",
        "trust_field_darker_should": "رده را نگه دارد؛ لامپ چیزی از سلول‌ها نمی‌گوید.",
        "trust_field_brighter": "روشن‌تر (نور × {amount})",
        "trust_field_brighter_should": "رده را نگه دارد، یا اگر سلول‌ها در روشنایی گم شده‌اند رد کند.",
        "trust_field_colours": "با رنگ‌های {detail}",
        "trust_field_colours_should": "رده را نگه دارد؛ کسی که رنگ‌آمیزی را می‌خواند به {detail} می‌رود.",
        "trust_field_did_refuses": "تصویر را رد کرد.",
        "trust_field_did_unsure": "به هیچ رده‌ای مطمئن نبود.",
        "trust_field_did_names": "بی‌آنکه چیزی برای تشخیص باشد، باز {label} گفت.",
        "trust_field_did_keeps": "{label} را نگه داشت.",
        "trust_field_did_keeps_refused": "باز {label} را محتمل‌ترین دانست و تصویر را رد کرد.",
        "trust_field_did_changes": "به {label} تغییر کرد.",
        "trust_field_did_changes_refused": "{label} را محتمل‌تر دانست، ولی تصویر را رد کرد.",
        "trust_field_did_changes_unsure": "به {label} گرایید، ولی به هیچ رده‌ای مطمئن نبود.",
        "trust_field_did_follows": "به {label} رفت که رنگ‌هایش را دیده بود.",
    },
}
