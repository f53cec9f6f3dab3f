#!/usr/bin/env python3
"""Publish a catalog, its embeddings or an episode set: on the Hub, or to a folder.

    python scripts/publish.py data/episodes --repo me/shop-episodes --tag v1.0 --dry-run
    python scripts/publish.py data/episodes --repo me/shop-episodes --tag v1.0
    python scripts/publish.py data/catalog --folder release/catalog

What it is, is read off the manifest. Checks the login and its rights first, then every checksum;
one commit a release, which also removes what the release no longer has. Run it again after a cut:
what the Hub already has is not sent again, and the same content again changes nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ecomkit.core.errors import EcomkitError
from ecomkit.release import hub


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="folder of a catalog, of embeddings or of episodes")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--repo", metavar="OWNER/NAME", help="dataset on the Hub")
    where.add_argument("--folder", help="folder to write the same layout to")
    parser.add_argument("--card", type=Path, help="README.md to publish (default: rendered now)")
    parser.add_argument(
        "--catalog", help="folder or id of the catalog it was made on (default: beside it)"
    )
    parser.add_argument("--license", help="of the data, such as cc-by-4.0; imports need it")
    parser.add_argument("--source-url", help="where imported data came from")
    parser.add_argument("--audit", type=Path, help="table of scripts/audit.py, for the card")
    parser.add_argument("--tag", help="name of the published state, such as v1.0")
    parser.add_argument("--revision", metavar="BRANCH", help="branch to commit to (default: main)")
    parser.add_argument("--create-pr", action="store_true", help="open a pull request instead")
    parser.add_argument("--private", action="store_true", help="make the dataset private")
    parser.add_argument("--message", help="of the commit")
    parser.add_argument("--vectors", action="store_true", help="also vectors.npy of embeddings")
    parser.add_argument("--dry-run", action="store_true", help="only show what would change")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs the command; 0 on success, 1 for a problem that was said on stderr."""
    parser = arguments()
    options = parser.parse_args(argv)
    if options.folder:
        for name in ("tag", "revision", "create_pr", "private", "message"):
            if getattr(options, name):
                parser.error(f"--{name.replace('_', '-')} is for the Hub, not for a folder")
    try:
        if options.repo:
            hub.check_login(options.repo, propose=options.create_pr)
        release = hub.read_release(
            options.source,
            repo_id=options.repo or "",
            catalog=options.catalog,
            audit=options.audit,
            card=options.card.read_text(encoding="utf-8") if options.card else None,
            licence=options.license,
            source_url=options.source_url,
            vectors=options.vectors,
        )
        print(f"{release.kind}: {len(release.files)} files, {release.size / 1e6:,.1f} MB, checked")
        if options.folder:
            done = hub.publish_to_folder(release, options.folder, dry_run=options.dry_run)
        else:
            done = hub.publish(
                release,
                options.repo,
                private=options.private,
                revision=options.revision,
                create_pr=options.create_pr,
                tag=options.tag,
                message=options.message,
                dry_run=options.dry_run,
            )
    except (EcomkitError, OSError) as error:
        print(f"publish: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\npublish: stopped; run the same command to go on", file=sys.stderr)
        return 130
    print("\n".join(done.changes.lines()))
    if options.dry_run:
        print(f"dry run: {done.target} is as it was")
    elif not done.made_commit:
        print(f"{done.target} already holds this release" + (f" ({done.tag})" if done.tag else ""))
    else:
        at = f" at {done.commit[:8]}" if done.commit else ""
        print(f"published to {done.url or done.target}{at}{f' as {done.tag}' if done.tag else ''}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
