"""The sentences that are made of figures elsewhere, and the names of the audit's rows, in Persian.

Shared contract: numbers and names in backquotes are left out of a key, as "#", and put back in their order.
"""

from __future__ import annotations

import re

_VALUE = re.compile(r"`[^`]*`|[-+]?\d+(?:\.\d+)?(?:/\d+)?")
_PERSIAN = {
    "leukocytes removed, inpainted": "لکوسیت‌ها حذف شده، جای آن‌ها هموار پر شده",
    "leukocytes removed, background cloned": "لکوسیت‌ها حذف شده، جای آن‌ها با زمینه پر شده",
    "leukocytes only, on grey": "فقط لکوسیت‌ها، روی خاکستری",
    "half of the leukocytes removed": "نیمی از لکوسیت‌ها حذف شده",
    "leukocytes on another class's background": "لکوسیت‌ها روی زمینهٔ ردهٔ دیگر",
    "sham: equal holes off the leukocytes": "شاهد: سوراخ‌های هم‌اندازه دور از لکوسیت‌ها",
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
    "burnt-in annotation inpainted": "نوشته‌ها و خط‌کش پاک شده",
    "colours of another class": "رنگ‌های ردهٔ دیگر",
    "grey": "بدون رنگ",
    "brightness x#": "روشنایی × #",
    "gamma #": "گامای #",
    "white balance warm": "تراز سفیدی گرم",
    "white balance cold": "تراز سفیدی سرد",
    "hue # degrees": "فام # درجه",
    "blur # px": "تاری # پیکسل",
    "noise #": "نویز #",
    "JPEG quality #": "کیفیت JPEG #",
    "half resolution": "نیمی از تفکیک",
    "quarter turn": "یک‌چهارم دور",
    "half turn": "نیم دور",
    "mirrored": "آینه‌ای",
    "It tells the classes apart on fields like those it was trained on (protocol `#`).": (
        "روی میدان‌هایی مانند میدان‌های آموزش، رده‌ها را از هم جدا می‌کند (پروتکل #)."
    ),
    "How it does on slides of another session, laboratory or patient.": (
        "روی لام‌های نشست، آزمایشگاه یا بیمار دیگر چگونه است."
    ),
    "So often its recipe is right in sessions that were left out (protocol `#`, balanced).": (
        "شیوهٔ آموزش آن در نشست‌های کنارگذاشته‌شده این اندازه درست می‌گوید (پروتکل #، متوازن)."
    ),
    "Other patients: the sessions of a class may be of the same ones; nothing in the data tells.": (
        "بیماران دیگر: شاید نشست‌های یک رده از همان بیماران باشند؛ چیزی در داده‌ها این را نمی‌گوید."
    ),
    "Without leukocytes it does not know the class.": "بدون لکوسیت‌ها رده را نمی‌داند.",
    "It names classes also without leukocytes.": "بدون لکوسیت‌ها هم رده نام می‌برد.",
    "That it reads in them what a haematologist reads.": "اینکه در آن‌ها همان را می‌خواند که هماتولوژیست می‌خواند.",
    "Leukocytes are enough for it.": "لکوسیت‌ها برایش کافی‌اند.",
    "Leukocytes alone are not enough for it.": "لکوسیت‌ها به‌تنهایی برایش کافی نیستند.",
    "Which property of them decides.": "اینکه کدام ویژگی آن‌ها پاسخ را تعیین می‌کند.",
    "On another background its label stays with the leukocytes.": "روی زمینهٔ دیگر، پاسخش با لکوسیت‌ها می‌ماند.",
    "On another background its label does not always stay with the leukocytes.": (
        "روی زمینهٔ دیگر، پاسخش همیشه با لکوسیت‌ها نمی‌ماند."
    ),
    "What it does on backgrounds of other laboratories.": "روی زمینهٔ آزمایشگاه‌های دیگر چه می‌کند.",
    "Colour hardly moves it.": "رنگ تقریباً اثری بر آن ندارد.",
    "Colour still moves it.": "رنگ هنوز بر آن اثر می‌گذارد.",
    "Stains that change which structures are visible.": "رنگ‌آمیزی‌هایی که ساختارهای پیدا را عوض می‌کنند.",
    "It bears another light.": "نور دیگر را تاب می‌آورد.",
    "In another light it is right less often.": "در نور دیگر کمتر درست می‌گوید.",
    "Cameras and lamps that change more than this.": "دوربین‌ها و لامپ‌هایی که بیش از این تغییر می‌دهند.",
    "Its probabilities mean what they say.": "احتمال‌هایش همان‌اند که می‌گویند.",
    "Its probabilities are roughly right.": "احتمال‌هایش کم‌وبیش درست‌اند.",
    "Probabilities in other laboratories, where the mix of classes and the slides differ.": (
        "احتمال‌ها در آزمایشگاه‌های دیگر، با آمیزهٔ رده‌ها و لام‌های دیگر."
    ),
    "The prediction set holds the true class, of each class, about as often as promised.": (
        "مجموعهٔ پیش‌بینی، در هر رده، کم‌وبیش به اندازهٔ وعده‌شده ردهٔ درست را در بر دارد."
    ),
    "The prediction set may hold the true class less often than promised.": (
        "مجموعهٔ پیش‌بینی شاید کمتر از وعده ردهٔ درست را در بر داشته باشد."
    ),
    "Coverage on fields that are not drawn like the calibration fields.": (
        "پوشش روی میدان‌هایی که مانند میدان‌های کالیبراسیون برداشته نشده‌اند."
    ),
    "It tells images that are no such smear from usable fields.": (
        "تصویرهایی را که چنین لامی نیستند از میدان‌های قابل‌استفاده بازمی‌شناسد."
    ),
    "It does not tell all images that are no such smear from usable fields.": (
        "همهٔ تصویرهایی را که چنین لامی نیستند از میدان‌های قابل‌استفاده بازنمی‌شناسد."
    ),
    "That what it answers is a usable smear: other kinds of junk were not tried.": (
        "اینکه هرچه پاسخ می‌گیرد لام قابل‌استفاده است: تصویرهای نامربوط دیگر آزموده نشده‌اند."
    ),
    "No map is shown to be true to it.": "نشان داده نشده که نقشه‌ای به آن وفادار است.",
    "That its maps are false.": "اینکه نقشه‌هایش نادرست‌اند.",
    "Its map lies on leukocytes, and what it shows matters for the answer.": (
        "نقشه‌اش روی لکوسیت‌هاست و آنچه نشان می‌دهد برای پاسخ مهم است."
    ),
    "What its map shows matters for the answer, but part of it lies beside leukocytes.": (
        "آنچه نقشه‌اش نشان می‌دهد برای پاسخ مهم است، ولی بخشی از آن بیرون از لکوسیت‌هاست."
    ),
    "What about a leukocyte decides; where only leukocytes can be seen, a map on them is no merit.": (
        "اینکه چه چیزِ لکوسیت تعیین‌کننده است؛ جایی که فقط لکوسیت دیده می‌شود، بودنِ نقشه روی آن‌ها هنر نیست."
    ),
    "it hardly knows the classes to begin with, so the rest says little": (
        "از آغاز رده‌ها را چندان نمی‌شناسد، پس بقیه چیز زیادی نمی‌گوید"
    ),
    "it names the class of fields without leukocytes": "ردهٔ میدان‌های بدون لکوسیت را نام می‌برد",
    "its label follows the background": "پاسخش در پی زمینه می‌رود",
    "it reads one corner, as where scale bars are": "یک گوشه را می‌خواند، مانند جای خط‌کش",
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
    """Give a sentence or a name from results.json in a language; as it is where there is no translation.

    Args:
        text: In English.
        language: "en" or "fa".
    """
    values = iter(_VALUE.findall(text))
    found = (
        _PERSIAN.get(_VALUE.sub(lambda match: "`#`" if match[0][0] == "`" else "#", text))
        if language == "fa"
        else None
    )
    return text if found is None else re.sub("#", lambda match: next(values).strip("`"), found)
