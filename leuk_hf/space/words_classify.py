"""Words of the tab "One field"."""

TEXTS = {
    "en": {
        "classify_field": "Field of view",
        "classify_field_alt": "The field to classify",
        "classify_examples": "Synthetic examples (drawn by a program, not specimens)",
        "classify_own_examples": "Your own fields",
        "classify_class": "Explain which class",
        "classify_predicted": "the predicted one",
        "classify_method": "Method",
        "classify_layer": "Layer (of Grad-CAM)",
        "classify_layer_info": "Early blocks are finer but know less of the class.",
        "classify_details": "What the network was given",
        "classify_empty": "Upload, paste or photograph a field, or choose an example: the answer appears here.",
        "classify_looks": "This field looks like {label}.",
        "classify_certain": "The model gives it a {kind} of {percent}; no other class stays plausible.",
        "classify_open": "The model gives it a {kind} of {percent}, but {others} cannot be ruled out.",
        "classify_leans": "Most likely {label}, but not for certain.",
        "classify_refused": "Not a field this model knows.",
        "classify_forced": "No class is named. What the model would say if it had to, not to be relied on:",
        "classify_calibrated": "calibrated probability",
        "classify_uncalibrated": "probability (not calibrated)",
        "classify_and": " and ",
        "classify_probabilities": "Probability of each class",
        "classify_warnings": "Be careful",
        "classify_because": "Why",
        "classify_unusable": "This image cannot be used",
        "classify_alt": "The field, with what argues for {target} as a heatmap over it",
        "classify_field_only_alt": "The field",
        "classify_opacity": "Heatmap opacity",
        "classify_split": "Before and after (or draw over the picture)",
        "classify_outlines": "Outlines",
        "classify_bar_none": "nothing",
        "classify_bar_most": "most in this field",
        "classify_bar_alt": "Colour scale, from black over purple and orange to pale yellow",
        "classify_bar": (
            "What argues for {target}, by {method}. Colours compare places in this field, not one field with another."
        ),
        "classify_no_map": "Nothing in this field argues for {target}, by {method}: there is no map to show.",
        "classify_not_predicted": "{target} is not the predicted class.",
        "classify_method_grad_cam": "Grad-CAM",
        "classify_method_integrated_gradients": "Integrated Gradients",
        "classify_method_occlusion": "Occlusion",
        "classify_evidence": "Evidence cells",
        "classify_counted": (
            "{count} leukocytes found; {share} of the attribution lies on them, which cover {area} of the field."
        ),
        "classify_counted_one": (
            "One leukocyte found; {share} of the attribution lies on it, which covers {area} of the field."
        ),
        "classify_counted_none": "No leukocytes found.",
        "classify_counted_unseen": (
            "No leukocytes could be outlined, which is done by colour; the model looks for them by itself."
        ),
        "classify_counted_refused": (
            "Outlined as leukocytes: {count}. In an image that the model does not know these may be anything."
        ),
        "classify_counted_only": "{count} leukocytes found.",
        "classify_coarse": (
            "This model sees only what it takes for leukocytes itself; colour beside the outlines comes from that, and"
            " from the coarse grid of its map, {places}."
        ),
        "classify_crops": "Strongest first; choose one to see it in the field.",
        "classify_crop": "Cell {number}, {percent} of the attribution. Show it in the field.",
        "classify_model": "Model",
        "classify_revision": "revision",
        "classify_shown_input": "As the network was given it: {size} × {size} pixels, before normalisation.",
        "classify_shown_view": (
            "What it is left to see: what it takes for leukocytes, in grey, each field's luminance made alike."
        ),
        "classify_shown_view_in_colour": (
            "What it is left to see: what it takes for leukocytes, here in their own colours; the model is given only"
            " how these differ from each other."
        ),
        "classify_shown_marks": "Annotation found in the field (scale bars, labels).",
        "classify_marks_none": "No scale bar or label was found.",
        "classify_marks_removed": "Marks: {count}, painted over with smear of the same field before it was judged.",
        "classify_marks_ignored": "Marks: {count}. This model does not paint them over.",
        "classify_marks_unseen": (
            "Marks: {count}, not painted over: this model sees leukocytes alone, marks never reach it."
        ),
        "classify_progress": "{method}: asking the network",
    },
    "fa": {
        "classify_field": "میدان دید",
        "classify_field_alt": "میدان دیدی که رده‌بندی می‌شود",
        "classify_examples": "نمونه‌های ساختگی (کار یک برنامه، نه نمونهٔ بیمار)",
        "classify_own_examples": "میدان‌های خودتان",
        "classify_class": "کدام رده توضیح داده شود",
        "classify_predicted": "ردهٔ پیش‌بینی‌شده",
        "classify_method": "روش",
        "classify_layer": "لایه (برای Grad-CAM)",
        "classify_layer_info": "بلوک‌های نخستین ریزترند ولی از رده کمتر می‌دانند.",
        "classify_details": "آنچه به شبکه داده شد",
        "classify_empty": "یک میدان دید بارگذاری کنید، بچسبانید یا عکس بگیرید، یا نمونه‌ای برگزینید: پاسخ اینجا می‌آید.",
        "classify_looks": "این میدان دید به {label} می‌ماند.",
        "classify_certain": "مدل برای آن {kind} {percent} می‌دهد؛ هیچ ردهٔ دیگری پذیرفتنی نمی‌ماند.",
        "classify_open": "مدل برای آن {kind} {percent} می‌دهد، ولی {others} را نمی‌توان کنار گذاشت.",
        "classify_leans": "به احتمال بیشتر {label}، ولی نه با اطمینان.",
        "classify_refused": "این میدانی نیست که این مدل بشناسد.",
        "classify_forced": "هیچ رده‌ای نام برده نمی‌شود. آنچه مدل به‌ناچار می‌گفت و نباید به آن تکیه کرد:",
        "classify_calibrated": "احتمالِ کالیبره‌شدهٔ",
        "classify_uncalibrated": "احتمالِ کالیبره‌نشدهٔ",
        "classify_and": " و ",
        "classify_probabilities": "احتمال هر رده",
        "classify_warnings": "احتیاط کنید",
        "classify_because": "چرا",
        "classify_unusable": "این تصویر قابل‌استفاده نیست",
        "classify_alt": "میدان دید، با نقشهٔ گرمایی آنچه به سود {target} است",
        "classify_field_only_alt": "میدان دید",
        "classify_opacity": "پررنگی نقشهٔ گرمایی",
        "classify_split": "پیش و پس (یا روی تصویر بکشید)",
        "classify_outlines": "خط دور سلول‌ها",
        "classify_bar_none": "هیچ",
        "classify_bar_most": "بیشترین در این میدان",
        "classify_bar_alt": "مقیاس رنگ، از سیاه تا بنفش و نارنجی و زرد روشن",
        "classify_bar": (
            "آنچه به سود {target} است، با روش {method}. رنگ‌ها جاهای همین میدان را با هم می‌سنجند، نه دو میدان را."
        ),
        "classify_no_map": "با روش {method} هیچ جای این میدان به سود {target} نیست؛ نقشه‌ای برای نمایش نیست.",
        "classify_not_predicted": "{target} ردهٔ پیش‌بینی‌شده نیست.",
        "classify_method_grad_cam": "Grad-CAM",
        "classify_method_integrated_gradients": "گرادیان‌های انتگرالی",
        "classify_method_occlusion": "پوشاندن",
        "classify_evidence": "سلول‌های شاهد",
        "classify_counted": "{count} لکوسیت یافت شد؛ {share} از شواهد روی آن‌هاست که {area} از میدان را می‌پوشانند.",
        "classify_counted_one": "یک لکوسیت یافت شد؛ {share} از شواهد روی آن است که {area} از میدان را می‌پوشاند.",
        "classify_counted_none": "هیچ لکوسیتی یافت نشد.",
        "classify_counted_unseen": (
            "دور هیچ لکوسیتی خط کشیده نشد، چون این کار از روی رنگ است؛ مدل خود لکوسیت‌ها را جست‌وجو می‌کند."
        ),
        "classify_counted_refused": (
            "با خط دور، مانند لکوسیت: {count}. در تصویری که مدل نمی‌شناسد این‌ها می‌توانند هر چیزی باشند."
        ),
        "classify_counted_only": "{count} لکوسیت یافت شد.",
        "classify_coarse": (
            "این مدل تنها آنچه را خود لکوسیت می‌شمارد می‌بیند؛ رنگِ بیرون از خط‌ها از آن است و از درشتی شبکهٔ نقشه،"
            " {places}."
        ),
        "classify_crops": "از قوی‌ترین؛ یکی را برگزینید تا در میدان نشان داده شود.",
        "classify_crop": "سلول {number}، {percent} از شواهد. در میدان نشان بده.",
        "classify_model": "مدل",
        "classify_revision": "نسخه",
        "classify_shown_input": "همان‌گونه که به شبکه داده شد: {size} × {size} پیکسل، پیش از نرمال‌سازی.",
        "classify_shown_view": "آنچه برای دیدن می‌ماند: آنچه لکوسیت می‌شمارد، خاکستری و با روشنایی یکسان‌شدهٔ هر میدان.",
        "classify_shown_view_in_colour": (
            "آنچه برای دیدن می‌ماند: آنچه لکوسیت می‌شمارد، اینجا با رنگ‌های خودش؛"
            " به مدل تنها تفاوت این رنگ‌ها با یکدیگر داده می‌شود."
        ),
        "classify_shown_marks": "نوشته‌ها و نشانه‌های یافت‌شده در میدان (خط مقیاس، برچسب).",
        "classify_marks_none": "خط مقیاس یا برچسبی یافت نشد.",
        "classify_marks_removed": "{count} نشانه پیش از داوری با بافت همان میدان پوشانده شد.",
        "classify_marks_ignored": "{count} نشانه یافت شد. این مدل آن‌ها را نمی‌پوشاند.",
        "classify_marks_unseen": (
            "{count} نشانه یافت شد. پوشانده نمی‌شوند: این مدل تنها لکوسیت‌ها را می‌بیند و نشانه‌ها به آن نمی‌رسند."
        ),
        "classify_progress": "{method}: پرسش از شبکه",
    },
}
