"""What the core says of an image that it refuses, doubts or cannot use, in the page's other languages.

Shared contract: keys are the templates of the core's sentences; a language needs all of them, and may leave out
`{reason}`, which other programs give in English.
"""

SENTENCES = {
    "fa": {
        "The image is {elongation} times as long as wide, so its cells would be squashed; crop it to one field.": (
            "درازای تصویر {elongation} برابر پهنای آن است و سلول‌ها فشرده می‌شوند؛ تصویر را برش دهید تا تنها یک میدان"
            " بماند."
        ),
        "The image has a blank frame (at least {percent} % of its area), which makes its cells look smaller than they"
        " are; crop the frame off.": (
            "تصویر حاشیه‌ای خالی دارد (دست‌کم {percent} % از مساحت تصویر) که سلول‌ها را کوچک‌تر از آنچه هستند نشان"
            " می‌دهد؛ حاشیه را برش دهید."
        ),
        "The image is nearly uniform; there is nothing to see.": "تصویر تقریباً یکدست است؛ چیزی برای دیدن نیست.",
        "The image is too dark; take it with more light.": "تصویر بیش از حد تاریک است؛ با نور بیشتر بگیرید.",
        "The image is too bright, its cells are washed out; take it with less light.": (
            "تصویر بیش از حد روشن است و سلول‌ها محو شده‌اند؛ با نور کمتر بگیرید."
        ),
        "No leukocytes were found, or hardly any of one; there is nothing to tell the class by.": (
            "هیچ لکوسیتی یافت نشد، یا تنها بخش کوچکی از یکی؛ چیزی نیست که رده را نشان دهد."
        ),
        "The image is blurred; focus and take it again.": "تصویر تار است؛ کانون را تنظیم کنید و دوباره بگیرید.",
        "What looks like leukocytes is flat, without the grain of a cell: painted over, smoothed, blurred or too dark;"
        " give the original photo, or a sharper and brighter one.": (
            "آنچه شبیه لکوسیت است یکنواخت است و دانه‌بندی یک سلول را ندارد: روی آن رنگ زده شده، هموار شده، تار یا بیش"
            " از حد تاریک است؛ عکس اصلی یا عکسی واضح‌تر و روشن‌تر بدهید."
        ),
        "The cells are too small: the magnification does not fit, or the image shows more than one field; crop it to"
        " one.": (
            "سلول‌ها بیش از حد کوچک‌اند: بزرگ‌نمایی مناسب نیست یا تصویر بیش از یک میدان دارد؛ تصویر را برش دهید تا تنها"
            " یک میدان بماند."
        ),
        "The leukocytes are too small ({extent}): the magnification does not fit, or the image shows more than one"
        " field; crop it to one.": (
            "لکوسیت‌ها بیش از حد کوچک‌اند ({extent}): بزرگ‌نمایی مناسب نیست یا تصویر بیش از یک میدان دارد؛ تصویر را برش"
            " دهید تا تنها یک میدان بماند."
        ),
        "The leukocytes are too large ({extent}): the magnification does not fit; take a whole field.": (
            "لکوسیت‌ها بیش از حد بزرگ‌اند ({extent}): بزرگ‌نمایی مناسب نیست؛ یک میدان کامل بگیرید."
        ),
        "The cells are too large: the magnification does not fit; take a whole field.": (
            "سلول‌ها بیش از حد بزرگ‌اند: بزرگ‌نمایی مناسب نیست؛ یک میدان کامل بگیرید."
        ),
        "The image is too small ({side} pixels at its shorter side), its cells have too little detail; give the"
        " original, not a reduced copy.": (
            "تصویر بیش از حد کوچک است (ضلع کوتاه‌تر {side} پیکسل) و سلول‌ها جزئیات کافی ندارند؛ تصویر اصلی را بدهید، نه"
            " نسخهٔ کوچک‌شده را."
        ),
        "{percent} % of the image's edge": "{percent} % از لبهٔ تصویر",
        "of unknown size": "با اندازهٔ نامعلوم",
        "The image is unlike the blood-smear fields that the model was trained on.": (
            "تصویر به میدان‌های لام خونی که مدل با آن‌ها آموزش دیده است شباهت ندارد."
        ),
        "No class has even half of the probability: the model cannot tell.": (
            "هیچ رده‌ای حتی نیمی از احتمال را ندارد: مدل نمی‌تواند بگوید."
        ),
        "The image is {size} pixels; squashed to a square, its cells are distorted.": (
            "اندازهٔ تصویر {size} پیکسل است؛ با فشردن به مربع، سلول‌ها از شکل می‌افتند."
        ),
        "The image is taller than wide ({size} pixels), photos of fields are wider than tall: squashed to a square,"
        " its cells get another shape. Turn it by a quarter.": (
            "بلندی تصویر از پهنای آن بیشتر است ({size} پیکسل)، اما عکس‌های میدان پهن‌تر از بلندی‌اند: با فشردن به مربع،"
            " سلول‌ها شکل دیگری می‌گیرند. تصویر را یک‌چهارم دور بچرخانید."
        ),
        "The image is small ({size} pixels); it was enlarged to {edge} pixels.": (
            "تصویر کوچک است ({size} پیکسل)؛ به {edge} پیکسل بزرگ شد."
        ),
        "The image has no colour; the model was trained on stained, coloured smears.": (
            "تصویر رنگ ندارد؛ مدل با لام‌های رنگ‌آمیزی‌شده آموزش دیده است."
        ),
        "The image is nearly uniform; it does not look like a smear field.": (
            "تصویر تقریباً یکدست است؛ به میدان لام خون نمی‌ماند."
        ),
        "the path is empty; give an image file": "مسیر خالی است؛ یک پروندهٔ تصویر بدهید",
        "{name} is a {kind}; give a path, bytes, a PIL image or a uint8 array": (
            "{name} از نوع {kind} است؛ مسیر، بایت، تصویر PIL یا آرایهٔ uint8 بدهید"
        ),
        "{name} is a folder; give an image file": "{name} پوشه است؛ یک پروندهٔ تصویر بدهید",
        "{name} does not exist or is no regular file; check the path": (
            "{name} وجود ندارد یا پروندهٔ معمولی نیست؛ مسیر را بررسی کنید"
        ),
        "{name} is larger than {most} MB; export the field as PNG or JPEG": (
            "{name} از {most} مگابایت بزرگ‌تر است؛ میدان را به شکل PNG یا JPEG ذخیره کنید"
        ),
        "{name} cannot be read ({reason})": "{name} خوانده نمی‌شود",
        "{name} is empty (0 bytes); save or copy it again": ("{name} خالی است (0 بایت)؛ دوباره ذخیره یا رونوشت کنید"),
        "{name} is not an image that can be read; save it as PNG, JPEG, TIFF, BMP or WebP": (
            "{name} تصویری نیست که بتوان خواند؛ آن را به شکل PNG،\u200f JPEG،\u200f TIFF،\u200f BMP یا WebP ذخیره کنید"
        ),
        "{name} has too many pixels (at most {most}); crop the field": (
            "{name} بیش از حد پیکسل دارد (حداکثر {most})؛ میدان را برش دهید"
        ),
        "{name} is damaged ({reason}); save or copy it again": ("{name} آسیب دیده است؛ دوباره ذخیره یا رونوشت کنید"),
        "{name} has shape {shape} and type {dtype}; give uint8 with shape (H, W, 3), RGB": (
            "{name} با شکل {shape} و نوع {dtype} آمده است؛ uint8 با شکل (H, W, 3) و RGB بدهید"
        ),
        "{name} has {size} pixels (at most {most} in all); crop the field": (
            "{name} به اندازهٔ {size} پیکسل است (روی هم حداکثر {most})؛ میدان را برش دهید"
        ),
        "{name} has {size} pixels; at least {least} are needed": (
            "{name} به اندازهٔ {size} پیکسل است؛ دست‌کم {least} لازم است"
        ),
        "{name} has {frames} frames; save the one to classify as PNG or JPEG": (
            "{name} دارای {frames} فریم است؛ آن را که باید رده‌بندی شود به شکل PNG یا JPEG ذخیره کنید"
        ),
        "{name} is truncated or damaged ({reason}); save or copy it again": (
            "{name} ناقص یا آسیب‌دیده است؛ دوباره ذخیره یا رونوشت کنید"
        ),
        "{name} has pixels that are not numbers; save it as 8-bit PNG": (
            "{name} پیکسل‌هایی دارد که عدد نیستند؛ آن را به شکل PNG هشت‌بیتی ذخیره کنید"
        ),
        (
            "{name} uses only the lowest {most} of 65536 levels; spread them over the full range and save it as 8-bit"
            " PNG"
        ): (
            "{name} تنها {most} سطح پایین از ۶۵۵۳۶ سطح روشنایی را به کار می‌برد؛ سطح‌ها را در همهٔ گستره بگسترانید و"
            " آن را به شکل PNG هشت‌بیتی ذخیره کنید"
        ),
        "{name} has values from {low} to {high}; save it as 8-bit or 16-bit PNG": (
            "{name} مقدارهایی از {low} تا {high} دارد؛ آن را به شکل PNG هشت‌بیتی یا شانزده‌بیتی ذخیره کنید"
        ),
        "an image of {size} pixels does not fit into {kind} (at most {most} a side); crop the field": (
            "تصویری به اندازهٔ {size} پیکسل در {kind} جا نمی‌شود (هر ضلع حداکثر {most})؛ میدان را برش دهید"
        ),
        "the data URI cannot be decoded ({reason}); send data:image/png;base64,...": "تصویر فرستاده‌شده خوانده نمی‌شود",
        "{name} is no zip archive that can be read; pack it again": (
            "{name} پروندهٔ زیپی نیست که بتوان خواند؛ دوباره بسته‌بندی کنید"
        ),
        "{name} was left out: at most {most} archives are taken at once; hand it in later": (
            "{name} کنار گذاشته شد: در هر بار حداکثر {most} پروندهٔ زیپ پذیرفته می‌شود؛ آن را پس از این بدهید"
        ),
        "the image is larger than {most}; save it smaller": "تصویر از {most} بزرگ‌تر است؛ کوچک‌تر ذخیره کنید",
        "{number} more were left out: at most {most} are taken at once; hand them in separately": (
            "{number} پروندهٔ دیگر کنار گذاشته شد: در هر بار حداکثر {most} پرونده پذیرفته می‌شود؛ جداگانه بدهید"
        ),
        "{name} lists far more than {most} files; split it": "{name} بسیار بیش از {most} پرونده دارد؛ چند بخشش کنید",
        "{name} is a damaged zip archive ({reason}); pack it again": (
            "{name} پروندهٔ زیپ آسیب‌دیده است؛ دوباره بسته‌بندی کنید"
        ),
        "{name} holds {number} files (at most {most}); split it": (
            "{name} دارای {number} پرونده است (حداکثر {most})؛ چند بخشش کنید"
        ),
        "{name} is an empty zip archive; pack the images into it": (
            "{name} پروندهٔ زیپ خالی است؛ تصویرها را در آن بسته‌بندی کنید"
        ),
        "{name} unpacks to {size} (at most {most}); split it": (
            "{name} پس از باز شدن {size} می‌شود (حداکثر {most})؛ چند بخشش کنید"
        ),
        "{name} has a name that leads out of the archive; pack the archive again from the images alone": (
            "نام {name} به بیرون از پروندهٔ زیپ می‌رود؛ تنها از تصویرها دوباره بسته‌بندی کنید"
        ),
        "{name} is a link or another special file; pack the image itself": (
            "{name} پیوند یا پرونده‌ای ویژه است؛ خود تصویر را بسته‌بندی کنید"
        ),
        "{name} is encrypted; pack it without a password": "{name} رمزگذاری شده است؛ بدون گذرواژه بسته‌بندی کنید",
        "{name} is packed by an unusual method; pack it as an ordinary zip (deflate)": (
            "{name} به روشی نامعمول فشرده شده است؛ به شکل زیپ معمولی (deflate) بسته‌بندی کنید"
        ),
        "{name} unpacks to {size} (at most {most}); save it smaller": (
            "{name} پس از باز شدن {size} می‌شود (حداکثر {most})؛ کوچک‌تر ذخیره کنید"
        ),
        "{name} unpacks to more than {ratio} times its size, which no photograph does; save it again": (
            "{name} پس از باز شدن بیش از {ratio} برابر می‌شود، که هیچ عکسی نمی‌شود؛ دوباره ذخیره کنید"
        ),
        "{name} is an archive inside the archive; unpack it and hand in the images": (
            "{name} پروندهٔ فشرده‌ای درون پروندهٔ زیپ است؛ آن را باز کنید و تصویرها را بدهید"
        ),
        "{name} is damaged in its archive ({reason}); pack it again": (
            "{name} درون پروندهٔ زیپ آسیب دیده است؛ دوباره بسته‌بندی کنید"
        ),
    }
}
