"""Words of the page around its tabs."""

TEXTS = {
    "en": {
        "page_intro": (
            "Sorts a field of a stained peripheral blood smear into **Benign** or one of three subtypes of B-cell"
            " acute lymphoblastic leukemia, **Early Pre-B, Pre-B, Pro-B**, and shows where the network found its"
            " evidence."
        ),
        "page_notice": (
            "**For research and teaching only. Not a medical device, not for diagnosis.** Uploads, and"
            " whatever is made of them, also in the server's memory, are deleted after about an hour. Nothing is"
            " flagged, no history of runs kept, nothing reported to anybody (analytics are off)."
        ),
        "page_other_language": "فارسی",
        "page_tab_classify": "One field",
        "page_tab_many": "Many fields",
        "page_tab_trust": "How good is it?",
        "page_tab_programs": "For programmers",
        "page_error": "Error",
        "page_intro_other": "Sorts a field of a blood smear into {classes}.",
        "page_served_model": "model",
        "page_served_revision": "revision",
        "page_served_identity": "weights",
        "page_served_library": "library",
        "page_served_backend": "backend",
        "page_limits": (
            "On the public data set, networks trained the usual way read stain and background rather than leukocytes:"
            " a bright spot on a cell does not prove that the cell decided."
        ),
    },
    "fa": {
        "page_intro": (
            "میدان دید لام خون محیطی رنگ‌آمیزی‌شده را در یکی از چهار رده جای می‌دهد: **Benign** (خوش‌خیم) یا یکی از سه"
            " زیرگروه لوسمی لنفوبلاستیک حاد سلول B، یعنی **Early Pre-B،\u200f Pre-B و Pro-B**، و نشان می‌دهد شبکه"
            " شواهد خود را کجا یافته است."
        ),
        "page_notice": (
            "**فقط برای پژوهش و آموزش. این برنامه ابزار پزشکی نیست و برای تشخیص به کار نمی‌رود.** پرونده‌های"
            " بارگذاری‌شده و هر چه از آن‌ها ساخته می‌شود، در حافظهٔ سرور نیز، پس از حدود یک ساعت پاک می‌شوند. چیزی"
            " نشان‌گذاری نمی‌شود، تاریخچه‌ای نمی‌ماند و به هیچ‌کس گزارشی نمی‌رود (آمارگیری خاموش است)."
        ),
        "page_other_language": "English",
        "page_tab_classify": "یک میدان دید",
        "page_tab_many": "چند میدان دید",
        "page_tab_trust": "چقدر درست است؟",
        "page_tab_programs": "برای برنامه‌نویسان",
        "page_error": "خطا",
        "page_intro_other": "میدان دید لام خون را در یکی از این رده‌ها جای می‌دهد: {classes}.",
        "page_served_model": "مدل",
        "page_served_revision": "نسخه",
        "page_served_identity": "وزن‌ها",
        "page_served_library": "کتابخانه",
        "page_served_backend": "موتور اجرا",
        "page_limits": (
            "در مجموعه‌دادهٔ عمومی، شبکه‌هایی که به روش معمول آموزش دیده‌اند به جای لکوسیت‌ها رنگ و زمینه را می‌خوانند: لکهٔ"
            " روشن روی یک سلول ثابت نمی‌کند که آن سلول پاسخ را تعیین کرده است."
        ),
    },
}
