"""A page to explore a checkpoint; open the address it prints.

Needs the extra ``app`` (gradio). The page is served to this machine only, to all its accounts; ``--login`` asks them
for a password.
"""

import argparse
import os
import secrets
import signal
import sys
import tempfile
import warnings
from pathlib import Path

from mgca_mm.cli.arguments import add_cfg_options, positive_int
from mgca_mm.errors import UserError, exit_on_user_error


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", required=True, help="checkpoint of the pretraining, or its folder: the best")
    parser.add_argument(
        "--config", help="its config, a file or a name such as mgca/pretrain_vit (default: the one beside it)"
    )
    parser.add_argument("--data", help="prepared folder: its tokenizer, and pairs to choose from and search among")
    parser.add_argument("--split", default="test", choices=("train", "val", "test"), help="of the folder")
    parser.add_argument("--max-images", type=positive_int, default=2000, help="the first so many pairs (default: 2000)")
    parser.add_argument("--phrases", help="table of phrases with boxes: MS-CXR's, or a phantom's phantom-phrases.csv")
    parser.add_argument(
        "--index", type=Path, help="folder that keeps the pairs' embeddings for the next time (default: in the data's)"
    )
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--login", action="store_true", help="ask for a password, which is printed at the start")
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is imported, which our own imports below do
    from mgca_mm.engine import install
    from mgca_mm.engine.privacy import keep_files_private

    install()
    keep_files_private()
    # Which would end the process and leave the uploads behind, or a traceback.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    with exit_on_user_error(), tempfile.TemporaryDirectory(prefix="mgca_mm_page_") as uploads:
        # Gradio's settings that were made for another page would open this one: more files, ports and addresses.
        for name in [name for name in os.environ if name.startswith("GRADIO_")]:
            del os.environ[name]
        os.environ.update(GRADIO_ANALYTICS_ENABLED="False", GRADIO_TEMP_DIR=uploads)
        try:
            import gradio as gr
        except ImportError as error:
            raise UserError("The page needs gradio: pip install 'mgca_mm[app]', or bash tools/setup_env.sh") from error

        from mgca_mm.apis import RadiographInferencer, config_beside
        from mgca_mm.apis.explorer import Explorer
        from mgca_mm.apis.guard import GuardedApp
        from mgca_mm.apis.index import NAMES
        from mgca_mm.apis.page import build_page
        from mgca_mm.apis.page_style import CSS
        from mgca_mm.apis.prepared import load_pairs

        options = dict(args.cfg_options or {}) | ({"data_root": args.data} if args.data else {})
        config = args.config or config_beside(args.checkpoint)
        # Without a bar: the data are embedded while the page is open, which says how far it is.
        inferencer = RadiographInferencer(config, args.checkpoint, cfg_options=options, show_progress=False)
        pairs = load_pairs(args.data, args.split, args.phrases)[: args.max_images] if args.data else []
        kept = {}
        if args.data:
            own = Path(args.data, "page_index", f"{args.split}_{inferencer.fingerprint[:16]}")
            if args.index and args.index.is_dir() and any(args.index.iterdir()) and not (args.index / NAMES).is_file():
                raise UserError(f"--index {args.index} holds other files than an index: name a folder of its own.")
            kept = dict(folder=args.index or own, made_from=Path(args.data, f"{args.split}.json"))
        explorer = Explorer(inferencer, pairs, **kept)
        page = build_page(explorer)
        # Of a name that gradio uses and that its server's library will change; with each click.
        warnings.filterwarnings("ignore", message="'HTTP_422_UNPROCESSABLE_ENTITY' is deprecated")
        # Fonts of the system: the default theme asks a server for its own.
        theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
        password = secrets.token_urlsafe(12) if args.login else None
        # Quietly: gradio would recommend a public link.
        try:
            _, address, _ = page.launch(
                quiet=True,
                prevent_thread_lock=True,
                server_name="127.0.0.1",
                server_port=args.port,
                share=False,
                auth=("mgca", password) if password else None,
                theme=theme,
                css=CSS,
                max_file_size="512mb",
                footer_links=[],
                ssr_mode=False,  # whose server in front of this one would not be guarded
                _app=GuardedApp(),
            )
        except OSError as error:
            raise UserError(f"Port {args.port} cannot be used: name another one by --port N.") from error
        print(f"The page is at {address} and can be opened on this machine only. Ctrl+C ends it.", flush=True)
        if password:
            print(f"User: mgca   Password: {password}", flush=True)
        else:
            print("All accounts of this machine can open it; on a shared one, start it with --login.", flush=True)
        if explorer.known is not None:
            explorer.known.prepare()  # while the page can be used
            print(explorer.known.outcome, flush=True)
        page.block_thread()
