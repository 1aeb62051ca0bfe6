"""The demo song through the whole service: `make demo`.

Starts `octet up` on a folder of its own, submits the song over REST, shows the progress,
fetches the tracks, measures them, and stops the service.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import octet
from octet.audio.recording import Recording

if TYPE_CHECKING:
    from collections.abc import Iterator

SONG = Path(__file__).parent / "demo.opus"
console = Console(highlight=False)


@contextmanager
def service(folder: Path) -> Iterator[str]:
    """Runs `octet up` and gives its address; Ctrl-C of ours is its end, too."""
    log = folder / "octet.log"
    command = [sys.executable, "-m", "octet", "up", "--data-dir", str(folder), "--port", "0"]
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True)
    try:
        assert process.stdout is not None  # noqa: S101  # it was asked for
        for line in process.stdout:
            if line.startswith("Octet is ready at "):
                yield line.split()[4]
                return
        sys.exit(f"the service did not start:\n{log.read_text()}")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def separate(url: str, output: Path) -> dict[str, Any]:
    """Submits the song, waits with a progress bar, and fetches all that came of it."""
    with octet.Client(url) as client:
        job = client.submit(SONG)
        with Progress(console=console, transient=True) as bar:
            task = bar.add_task(SONG.name, total=100)
            job = client.wait(
                job["id"], on_progress=lambda now: bar.update(task, completed=now["percent"])
            )
        if job["state"] != "done":
            sys.exit(f"the job ended as {job['state']}: {job.get('error')}")
        return dict(client.download_all(job["id"], output))


def show(manifest: dict[str, Any], output: Path, seconds: float) -> None:
    """Lists the files with their levels, and says what the manifest promises."""
    table = Table(box=None, pad_edge=False)
    table.add_column("file")
    for column in ("samples", "RMS dBFS", "peak dBFS"):
        table.add_column(column, justify="right")
    for track in manifest["tracks"].values():
        with Recording.read_song(output / track["key"], output) as recording:
            samples = recording.samples
        if samples != track["samples"]:
            sys.exit(f"{track['key']} holds {samples} samples, not {track['samples']}")
        table.add_row(
            track["key"], str(samples), f"{track['rms_db']:.1f}", f"{track['peak_db']:.1f}"
        )
    console.print(table)
    song = manifest["song"]
    console.print(
        f"{manifest['model']['name']} ({manifest['model']['licence']}), {manifest['outcome']}: "
        f"{song['duration']:.1f} s of music in {seconds:.1f} s from upload to the last file, "
        f"{manifest['timings']['total']:.1f} s of it separating and encoding; the four stems "
        f"null against the song to {manifest['null_db']:.0f} dB before they are encoded."
    )
    console.print(f"The files and manifest.json are in {output}/", markup=False)


def main() -> None:
    """Leaves eight tracks and the manifest in the folder named, demo-out unless another is."""
    output = Path(sys.argv[1] if len(sys.argv) > 1 else "demo-out")
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="octet-demo-") as folder:
        console.print("Starting Valkey, the API and a worker ...")
        with service(Path(folder)) as url:
            console.print(f"The service is at {url}; submitting {SONG.name}")
            start = time.perf_counter()
            manifest = separate(url, output)
            show(manifest, output, time.perf_counter() - start)


if __name__ == "__main__":
    main()
