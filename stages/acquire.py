"""Stage `acquire`: fetch the files of every source, checked, untouched.

Reads: the sections `dataset` (which files, with their sha256 where it is known) and `acquire`
(limits). The environment variables DTI_MIRROR (a folder or base URL that stands for the public
host) and DTI_CACHE (where downloads are kept) change where a file comes from, never what it is.

Writes `data/raw/`, replaced as a whole:

- `<source>/<role><suffix>`: the file as published
- `manifest.json`: source → role → `file` (path below data/raw), `url` (as configured), `sha256`,
  `bytes`
"""

from __future__ import annotations

import logging

from stages.dti.config.acquire import AcquireConfig
from stages.dti.config.dataset import DatasetConfig
from stages.dti.data.sources.fetch import Fetcher, suffix_of
from stages.dti.data.sources.manifest import MANIFEST, Manifest
from stages.dti.files import write_folder, write_json
from stages.dti.paths import RAW, Paths
from stages.dti.runtime.stage import main

logger = logging.getLogger(__name__)


def run(paths: Paths, *, dataset: DatasetConfig, acquire: AcquireConfig) -> None:
    """Fetch everything, or raise and leave data/raw as it was."""
    fetcher = Fetcher.from_environment(acquire, paths.inputs)
    manifest: Manifest = {}
    with write_folder(paths.write(RAW)) as folder:
        for name, source in dataset.sources.items():
            manifest[name] = {}
            for role, file in source.files.items():
                target = f"{name}/{role}{suffix_of(file.url)}"
                fetched = fetcher.fetch(file, folder / target)
                manifest[name][role] = {
                    "file": target,
                    "url": file.url,
                    "sha256": fetched.sha256,
                    "bytes": fetched.bytes,
                }
                logger.info("%s: %s, %d bytes", name, role, fetched.bytes)
        write_json(folder / MANIFEST, manifest)


if __name__ == "__main__":
    main(run)
