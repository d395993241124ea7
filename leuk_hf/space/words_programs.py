"""Words of the tab "For programmers"."""

TEXTS = {
    "en": {
        "programs_endpoints": (
            "Three endpoints, stable in name and answer:\n\n"
            "- `/predict`: probabilities, prediction set, verdict, and whether and why the image is refused\n"
            "- `/explain`: overlay, heatmap as a NumPy file, and the leukocytes the evidence lies on\n"
            "- `/predict_batch`: up to 100 files, one row each; a file that cannot be used is a row with its error\n\n"
            "Every answer names the model, its revision, the library and the backend."
        ),
        "programs_openapi": (
            "As OpenAPI: [gradio_api/openapi.json](gradio_api/openapi.json). Every parameter is described under *Use"
            " via API* at the foot of the page."
        ),
        "programs_mcp_on": "Agents reach the same endpoints as tools, by MCP at `gradio_api/mcp/` of this address.",
        "programs_mcp_off": (
            "Agents can reach the same endpoints as tools, by MCP, where `gradio[mcp]` is installed; here it is not."
        ),
        "programs_mcp_logins": "Agents cannot reach them as tools, by MCP: here visitors log in, which agents cannot.",
    },
    "fa": {
        "programs_endpoints": (
            "سه نقطهٔ پایانی، با نام و پاسخ پایدار:\n\n"
            "- `/predict`: احتمال‌ها، مجموعهٔ پیش‌بینی، نتیجه، و اینکه آیا و چرا تصویر رد شده است\n"
            "- `/explain`: تصویر با نقشهٔ گرمایی، خود نقشه به شکل پروندهٔ NumPy، و لکوسیت‌هایی که شواهد روی آن‌هاست\n"
            "- `/predict_batch`: تا 100 پرونده، هر کدام یک سطر؛ پروندهٔ نامناسب سطری است با خطای خودش\n\n"
            "هر پاسخ نام مدل، نسخهٔ آن، کتابخانه و موتور اجرا را می‌گوید."
        ),
        "programs_openapi": (
            "به شکل OpenAPI: [gradio_api/openapi.json](gradio_api/openapi.json). همهٔ پارامترها در پایین صفحه، زیر"
            " «استفاده از طریق API»، شرح داده شده‌اند."
        ),
        "programs_mcp_on": (
            "عامل‌های هوشمند همین نقطه‌ها را به شکل ابزار، با MCP و در مسیر `gradio_api/mcp/` همین نشانی، می‌یابند."
        ),
        "programs_mcp_off": (
            "عامل‌های هوشمند می‌توانند همین نقطه‌ها را با MCP به کار ببرند، اگر `gradio[mcp]` نصب باشد؛ اینجا نصب نیست."
        ),
        "programs_mcp_logins": (
            "عامل‌های هوشمند نمی‌توانند آن‌ها را به شکل ابزار، با MCP، به کار ببرند: اینجا باید با نام کاربری"
            " وارد شد، که از آن‌ها برنمی‌آید."
        ),
    },
}
