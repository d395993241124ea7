"""The names of the audit's rows and findings, which results.json gives in English, in Persian.

Shared contract: numbers are left out of a key, as "#", and put back in their order.
"""

from __future__ import annotations

import re

_VALUE = re.compile(r"[-+]?\d+(?:\.\d+)?(?:/\d+)?")
_PERSIAN = {
    "leukocytes removed, inpainted": "لکوسیت‌ها حذف شده، جای آن‌ها هموار پر شده",
    "leukocytes removed, background cloned": "لکوسیت‌ها حذف شده، جای آن‌ها با زمینه پر شده",
    "everything bluish removed, inpainted": "هر چیز آبی‌فام حذف شده، جای آن هموار پر شده",
    "leukocytes only, on grey": "فقط لکوسیت‌ها، روی خاکستری",
    "half of the leukocytes removed": "نیمی از لکوسیت‌ها حذف شده",
    "leukocytes on another class's background": "لکوسیت‌ها روی زمینهٔ ردهٔ دیگر",
    "sham: equal holes off the leukocytes": "کنترل: سوراخ‌های هم‌اندازه دور از لکوسیت‌ها",
    "leukocytes on another background of their class": "لکوسیت‌ها روی زمینهٔ دیگری از ردهٔ خود",
    "emptied, with another class's holes added": "خالی‌شده، همراه با سوراخ‌های ردهٔ دیگر",
    "silhouettes: hole mask only": "سایه‌نما: فقط شکل سوراخ‌ها",
    "background only: leukocytes greyed out": "فقط زمینه: لکوسیت‌ها خاکستری شده",
    "glass only": "فقط شیشه",
    "top left corner only": "فقط گوشهٔ بالا چپ",
    "top right corner only": "فقط گوشهٔ بالا راست",
    "bottom left corner only": "فقط گوشهٔ پایین چپ",
    "bottom right corner only": "فقط گوشهٔ پایین راست",
    "top left corner of another class": "گوشهٔ بالا چپ از ردهٔ دیگر",
    "top right corner of another class": "گوشهٔ بالا راست از ردهٔ دیگر",
    "bottom left corner of another class": "گوشهٔ پایین چپ از ردهٔ دیگر",
    "bottom right corner of another class": "گوشهٔ پایین راست از ردهٔ دیگر",
    "top left": "بالا چپ",
    "top right": "بالا راست",
    "bottom left": "پایین چپ",
    "bottom right": "پایین راست",
    "burnt-in annotation inpainted": "نوشته‌ها و خط مقیاس پاک شده",
    "colours of another class": "رنگ‌های ردهٔ دیگر",
    "grey": "بدون رنگ",
    "brightness x#": "روشنایی × #",
    "gamma #": "گامای #",
    "white balance warm": "تراز سفیدی گرم",
    "white balance cold": "تراز سفیدی سرد",
    "hue # degrees": "فام # درجه",
    "stain bluer": "رنگ‌آمیزی آبی‌تر",
    "stain redder": "رنگ‌آمیزی سرخ‌تر",
    "blur # px": "تاری # پیکسل",
    "noise #": "نویز #",
    "JPEG quality #": "کیفیت JPEG #",
    "half resolution": "نیمی از تفکیک",
    "quarter turn": "یک‌چهارم دور",
    "half turn": "نیم دور",
    "mirrored": "آینه‌ای",
    "magnification x#": "بزرگ‌نمایی × #",
    "it hardly knows the classes to begin with, so the rest says little": (
        "از آغاز رده‌ها را چندان نمی‌شناسد، پس بقیه چیز زیادی نمی‌گوید"
    ),
    "it names the class of fields without leukocytes": "ردهٔ میدان‌های بدون لکوسیت را نام می‌برد",
    "its label follows the background": "پاسخش در پی زمینه می‌رود",
    "it reads one corner, as where scale bars are": "یک گوشه را می‌خواند، مانند جای خط مقیاس",
    "its label follows the colours": "پاسخش در پی رنگ‌ها می‌رود",
    "number, size or outline of the leukocytes decide, without their looks": (
        "شمار، اندازه یا شکل لکوسیت‌ها تعیین‌کننده است، نه ظاهرشان"
    ),
    "the leukocytes are not enough for it": "لکوسیت‌ها برایش کافی نیستند",
    "it reacts to the traces of removal, so the removal rows need care": (
        "به ردِ حذف واکنش نشان می‌دهد، پس سطرهای حذف را باید با احتیاط خواند"
    ),
    "its answers do not survive another exposure, stain, camera or orientation": (
        "پاسخ‌هایش با نور، رنگ‌آمیزی، دوربین یا جهت دیگر پایدار نمی‌مانند"
    ),
}


def translated(text: str, language: str | None) -> str:
    """Give a name from results.json in a language; as it is where there is no translation.

    Args:
        text: In English.
        language: "en" or "fa".
    """
    found = _PERSIAN.get(_VALUE.sub("#", text)) if language == "fa" else None
    values = iter(_VALUE.findall(text))
    return text if found is None else re.sub("#", lambda match: next(values), found)
