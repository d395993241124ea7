"""Words of the shortcut audit in the tab "How good is it?". There is no figure in here."""

TEXTS = {
    "en": {
        "trust_audit": "Does it look at the leukocytes?",
        "trust_audit_words": (
            "A network may get the right answer for a wrong reason. All slides of one class may share"
            " a stain, a lamp or a scale bar; then reading these is enough, and useless anywhere"
            " else. Such a shortcut does not show in the accuracy. So {fields} test fields were"
            " changed on purpose, one change at a time, and the network was asked again. Each change"
            " has an outcome that one must expect of somebody who reads leukocytes."
        ),
        "trust_story_know": "What is left when there is nothing to diagnose",
        "trust_story_know_words": (
            "The leukocytes were removed, or only a part of the field without them was shown. Whoever"
            " reads leukocytes can only guess now, or should refuse. Whoever is still right reads"
            " something else."
        ),
        "trust_story_know_happened": (
            "The most that it got right is {figure}, at: {row}. Guessing gives {chance} (mark)."
        ),
        "trust_story_keep": "What is enough",
        "trust_story_keep_words": (
            "The leukocytes stayed; the rest went, or was exchanged. Whoever reads leukocytes answers"
            " as before. Refusing is in order where the image is no longer a field."
        ),
        "trust_story_keep_happened": (
            "The least that it got right is {figure}, at: {row}. On untouched fields it is {clean} (mark)."
        ),
        "trust_story_move": "What must not matter",
        "trust_story_move_words": (
            "The cells stayed as they are; corners, scale bars, light, colours, focus, file or"
            " orientation changed. No answer should change. Shown is the share of answers that did."
        ),
        "trust_story_move_happened": (
            "Most answers change at: {row}, {figure}. {moved} of {all} changes surely move more than {limit} (mark)."
        ),
        "trust_change": "what was done",
        "trust_balanced": "right, mean of the classes",
        "trust_changed": "answers changed",
        "trust_as_expected": "as expected?",
        "trust_yes": "✓ yes",
        "trust_no": "✗ no",
    },
    "fa": {
        "trust_audit": "آیا به لکوسیت‌ها نگاه می‌کند؟",
        "trust_audit_words": (
            "شبکه می‌تواند به دلیلی نادرست به پاسخ درست برسد. شاید همهٔ لام‌های یک رده رنگ‌آمیزی، نور"
            " یا خط مقیاس مشترک داشته باشند؛ آنگاه خواندن همین‌ها کافی است و در هیچ جای دیگری به کار"
            " نمی‌آید. چنین میان‌بری در دقت دیده نمی‌شود. پس {fields} میدان آزمون به‌عمد، هر بار با"
            " یک تغییر، دگرگون شد و از شبکه دوباره پرسیده شد. از کسی که لکوسیت‌ها را می‌خواند، در هر"
            " تغییر نتیجه‌ای انتظار می‌رود."
        ),
        "trust_story_know": "وقتی چیزی برای تشخیص نمانده است",
        "trust_story_know_words": (
            "لکوسیت‌ها حذف شدند یا فقط بخشی از میدان بدون آن‌ها نشان داده شد. کسی که لکوسیت می‌خواند"
            " اکنون فقط می‌تواند حدس بزند یا باید رد کند. کسی که هنوز درست می‌گوید چیز دیگری را"
            " می‌خواند."
        ),
        "trust_story_know_happened": "بیشترین درستی {figure} است، در: {row}. حدس زدن {chance} می‌دهد (نشانه).",
        "trust_story_keep": "چه چیزی کافی است",
        "trust_story_keep_words": (
            "لکوسیت‌ها ماندند و بقیه حذف یا عوض شد. کسی که لکوسیت می‌خواند همان پاسخ پیشین را می‌دهد."
            " هر جا تصویر دیگر میدان نیست، رد کردن بجاست."
        ),
        "trust_story_keep_happened": (
            "کمترین درستی {figure} است، در: {row}. روی میدان‌های دست‌نخورده {clean} است (نشانه)."
        ),
        "trust_story_move": "چه چیزی نباید اثر کند",
        "trust_story_move_words": (
            "سلول‌ها همان‌اند؛ گوشه‌ها، خط‌های مقیاس، نور، رنگ‌ها، وضوح، پرونده یا جهت عوض شد. هیچ پاسخی"
            " نباید عوض شود. سهم پاسخ‌هایی که عوض شده‌اند نشان داده شده است."
        ),
        "trust_story_move_happened": (
            "بیشترین تغییر پاسخ در: {row}، {figure}. {moved} تغییر از {all} تغییر بی‌گمان بیش از"
            " {limit} (نشانه) پاسخ‌ها را عوض می‌کنند."
        ),
        "trust_change": "چه شد",
        "trust_balanced": "درست، میانگین رده‌ها",
        "trust_changed": "پاسخ‌های عوض‌شده",
        "trust_as_expected": "مطابق انتظار؟",
        "trust_yes": "✓ بله",
        "trust_no": "✗ نه",
    },
}
