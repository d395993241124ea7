"""The demo: `python app.py`, or the entry of a Hugging Face Space. `python app.py --help` lists what can be set."""

import dataclasses
import os
import signal
import sys
import tempfile
from pathlib import Path

# Smear images are nobody else's business: no telemetry, decided before gradio is imported.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from leuk_hf.errors import LeukError
from leuk_hf.space.options import Options, read_logins, read_options
from leuk_hf.space.pin import read_pin
from leuk_hf.space.temporary import own_temporary_folder
from leuk_hf.space.zero_gpu import import_spaces


def main(arguments: list[str]) -> int:
    """Serve as told; the exit code is 0, 2 for a user's mistake, or 130 if stopped early."""
    import_spaces()
    # Whoever stops a server so, as containers are stopped, wants its files gone as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options, logins = read_options(arguments, os.environ), read_logins(os.environ)
        with own_temporary_folder(Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())) as folder:
            os.environ["GRADIO_TEMP_DIR"] = str(folder)
            serve(options, logins)
    except (LeukError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # before there was anything to stop
        return 130
    return 0


def serve(options: Options, logins: list[tuple[str, str]] | None) -> None:
    """Load the checkpoint and serve until stopped.

    Args:
        options: What to serve, and how.
        logins: Who may log in; None: everyone may come in.
    """
    # Gradio takes seconds to import, which --help and a wrong value need not wait for.
    from leuk_hf.backends import load_predictor
    from leuk_hf.space.page import build_page, launch_settings

    source, revision, backend, pin = options.model, options.revision, "auto", None
    if source is None and (pin := read_pin(Path(__file__).parent)):
        # Such a Space has nothing but torch: looking for a graph would only be a request to the Hub.
        source, revision, backend = pin.model, revision or pin.revision, "torch"
    predictor = load_predictor(source, revision=revision, backend=backend)
    # Visitors need not know where a folder lies on this machine.
    name = "/".join(Path(source or "shipped checkpoint").parts[-2:])
    options = dataclasses.replace(options, model=source, revision=revision)
    pinned = pin is not None and revision == pin.revision
    demo = build_page(
        predictor,
        model_name=name,
        revision=revision,
        options=options,
        is_preloaded=pinned,
        has_logins=logins is not None,
    )
    demo.launch(auth=logins, **launch_settings(options, has_logins=logins is not None))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
