# SPDX-License-Identifier: Apache-2.0
"""What is in an image: SPDX 2.3 for machines, manifest.json for people and for comparisons."""
import datetime
import json
from collections import defaultdict
from urllib.parse import quote

from image.tree import run, sha256_of


def spdx(definition, version, epoch, packages, blob=None):
    created = datetime.datetime.fromtimestamp(int(epoch), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    name = f"wayside-{definition.board}-{version}"
    entries, relations = [], []
    def add(identity, **fields):
        entries.append({"SPDXID": identity, "filesAnalyzed": False, "downloadLocation": "NOASSERTION", "licenseConcluded": "NOASSERTION",
                        "copyrightText": "NOASSERTION", **fields})
        relations.append({"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": identity})
    add("SPDXRef-wayside", name="wayside", versionInfo=version, licenseDeclared="Apache-2.0", supplier="NOASSERTION")
    for package in packages:
        vendor = package.get("supplier") == "vendor"
        purl = f"pkg:deb/{'vendor' if vendor else 'debian'}/{quote(package['name'])}@{quote(package['version'], safe='.-~')}?arch={package['architecture']}"
        add(f"SPDXRef-deb-{package['name'].replace('+', '-')}", name=package["name"], versionInfo=package["version"],
            licenseDeclared="NOASSERTION", supplier="NOASSERTION" if vendor else "Organization: Debian",
            checksums=[{"algorithm": "SHA256", "checksumValue": sha256_of(package["file"])}],
            externalRefs=[{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}])
    if blob:
        add("SPDXRef-blob", name=blob.name, versionInfo="NOASSERTION", licenseDeclared="NOASSERTION", supplier="NOASSERTION",
            checksums=[{"algorithm": "SHA256", "checksumValue": sha256_of(blob)}])
    # The name space is unique by the contents: the versions of all packages.
    return {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": name,
            "documentNamespace": f"https://spdx.org/spdxdocs/{name}-{abs(int(epoch))}",
            "creationInfo": {"created": created, "creators": ["Tool: wayside-image"]}, "packages": entries, "relationships": relations}


def sizes(tree, packages):
    """Bytes that each package has left in the tree after pruning, largest first."""
    found = defaultdict(int)
    for package in packages:
        for line in run("dpkg-deb", "--contents", package["file"]).splitlines():
            if line.startswith("-"):
                path = tree / line.split(maxsplit=5)[5].removeprefix("./")  # /lib is a link to usr/lib here
                if path.is_file():
                    found[package["name"]] += path.stat().st_size
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def write(definition, version, epoch, packages, blob, tree, verity, out, name):
    (out / f"{name}.spdx.json").write_text(json.dumps(spdx(definition, version, epoch, packages, blob), indent=1) + "\n")
    files = {path.name: {"bytes": path.stat().st_size, "sha256": sha256_of(path)} for path in sorted(out.iterdir())
             if path.suffix != ".raucb" and path.name != f"{name}.manifest.json"}
    left = sizes(tree, packages)
    manifest = {
        "board": definition.board, "version": version, "architecture": definition.architecture, "compatible": definition.compatible,
        "source_date_epoch": int(epoch), "verity": verity, "partitions_mib": definition.partitions, "files": files,
        "blobs": {blob.name: sha256_of(blob)} if blob else {},
        "packages": [{"name": p["name"], "version": p["version"], "bytes_in_image": left.get(p["name"], 0),
                      **({"vendor": p["wanted"]["kind"]} if p.get("supplier") == "vendor" else {})} for p in packages],
        "kernel": "vendor" if definition.with_vendor else "debian",
    }
    (out / f"{name}.manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest
