"""Words of the tab "One field"."""

TEXTS = {
    "en": {
        "classify_field": "Field of view",
        "classify_field_alt": "The field to classify",
        "classify_examples": "Synthetic examples (drawn by a program, not specimens)",
        "classify_explain": "What to explain",
        "classify_class": "Class",
        "classify_layer": "Layer",
        "classify_layer_info": "Early blocks are finer but know less of the class.",
        "classify_button": "Classify",
        "classify_probabilities": "Class probabilities",
        "classify_opacity": "Heatmap opacity",
        "classify_others": "Also plausible: {names}.",
    },
    "fa": {
        "classify_field": "میدان دید",
        "classify_field_alt": "میدان دیدی که رده‌بندی می‌شود",
        "classify_examples": "نمونه‌های ساختگی (کار یک برنامه، نه نمونهٔ بیمار)",
        "classify_explain": "چه چیزی توضیح داده شود",
        "classify_class": "رده",
        "classify_layer": "لایه",
        "classify_layer_info": "بلوک‌های نخستین ریزترند ولی از رده کمتر می‌دانند.",
        "classify_button": "رده‌بندی",
        "classify_probabilities": "احتمال رده‌ها",
        "classify_opacity": "پررنگی نقشهٔ گرمایی",
        "classify_others": "این رده‌ها هم پذیرفتنی‌اند: {names}.",
    },
}
