"""A model hub in memory, on 127.0.0.1: the calls that huggingface_hub makes to push and to load.

Not a mock of the client: the real client talks HTTP to it, in this process or in another. It speaks
whoami, create repo, validate-yaml, preupload, the Git LFS batch protocol (basic transfer, no xet:
set `HF_HUB_DISABLE_XET=1`), commits as ndjson, model info, tree, paths-info, and resolve, with the
headers and `X-Error-Code`s of the real one. Large files lie on another host, as there: `localhost`.
"""

import base64
import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any

from hub_http import Answer, Handler, Hold, RefusedError, Request, Site

TOKEN = "hf_thisTokenOpensTheLocalHubOnly0123456789"
LFS_SUFFIXES = (".safetensors", ".onnx", ".bin", ".data")


@dataclass(frozen=True)
class Commit:
    """One state of a repository: file name to content."""

    oid: str
    message: str
    files: dict[str, bytes]


@dataclass
class Repo:
    """A repository, its commits oldest first; a private one asks readers for the token."""

    private: bool
    commits: list[Commit] = field(default_factory=list)

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[-1].files

    def add(self, message: str, files: dict[str, bytes]) -> Commit:
        state = json.dumps([len(self.commits), message, sorted(files)]).encode()
        self.commits.append(Commit(hashlib.sha1(state).hexdigest(), message, files))
        return self.commits[-1]

    def at(self, revision: str) -> Commit | None:
        if revision == "main":
            return self.commits[-1]
        return next((commit for commit in self.commits if commit.oid == revision), None)


class HubServer:
    """`with HubServer() as hub:`; `hub.endpoint` is its URL, `hub.repos["user/name"]` its content.

    `hub.site.calls` lists the requests seen; `hub.hold()` stops uploads of large files half way.
    """

    def __init__(self, *, user: str = "user", token: str = TOKEN) -> None:
        self.user, self.token = user, token
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.site = Site(_routes(self))

    def __enter__(self) -> "HubServer":
        handler = type("HubHandler", (Handler,), {"site": self.site})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self.storage = f"http://localhost:{self._server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self._server.shutdown()
        self._server.socket.close()

    def hold(self) -> Hold:
        self.site.hold = Hold()
        return self.site.hold

    def release(self) -> None:
        if self.site.hold is not None:
            self.site.hold.release.set()
            self.site.hold = None

    # Who am I, repositories

    def whoami(self, request: Request) -> Answer:
        self._require_token(request)
        return Answer({"type": "user", "name": self.user, "orgs": [], "auth": {}})

    def create(self, request: Request) -> Answer:
        self._require_token(request)
        wanted = request.json()
        owner = wanted.get("organization") or self.user
        if owner != self.user:
            raise RefusedError(403, f"You have no rights to create a model under {owner}")
        name = f"{owner}/{wanted['name']}"
        if name in self.repos:
            taken = {"error": "You already created this model repo"}
            return Answer(taken | {"url": f"{self.endpoint}/{name}"}, 409)
        private = wanted.get("private", False) or wanted.get("visibility") == "private"
        self.repos[name] = Repo(private)
        self.repos[name].add("initial commit", {".gitattributes": b"*.safetensors filter=lfs\n"})
        return Answer({"url": f"{self.endpoint}/{name}", "name": name})

    def validate_yaml(self, request: Request) -> Answer:
        missing = not request.json()["content"].startswith("---\n")
        warnings = [{"message": "empty or missing yaml metadata"}] if missing else []
        return Answer({"errors": [], "warnings": warnings})

    def info(self, request: Request) -> Answer:
        commit, name = self._commit(request), request.groups["repo"]
        siblings = [{"rfilename": path} for path in sorted(commit.files)]
        names = {"_id": "0" * 24, "id": name, "modelId": name, "private": self.repos[name].private}
        counts = {"tags": [], "downloads": 0, "likes": 0}
        return Answer(names | counts | {"sha": commit.oid, "siblings": siblings})

    def tree(self, request: Request) -> Answer:
        files, folder = self._commit(request).files, request.groups.get("path")
        paths = [p for p in sorted(files) if not folder or p.startswith(folder + "/")]
        if folder and not paths:
            raise RefusedError(404, f"{folder} does not exist on 'main'", "EntryNotFound")
        return Answer([_entry(path, files[path]) for path in paths])

    def paths_info(self, request: Request) -> Answer:
        files = self._commit(request).files
        wanted = [path for path in request.json()["paths"] if path in files]
        return Answer([_entry(path, files[path]) for path in wanted])

    # Upload

    def preupload(self, request: Request) -> Answer:
        files = self._writable(request).files
        modes = [_upload_mode(f["path"], files) for f in request.json()["files"]]
        return Answer({"files": modes})

    def lfs_batch(self, request: Request) -> Answer:
        self._writable(request)
        objects = [self._lfs_action(o["oid"], o["size"]) for o in request.json()["objects"]]
        return Answer({"transfer": "basic", "objects": objects})

    def lfs_upload(self, request: Request) -> Answer:
        self._refuse_token(request)
        if hashlib.sha256(request.body).hexdigest() != request.groups["oid"]:
            raise RefusedError(400, "the content does not match its SHA-256")
        self.objects[request.groups["oid"]] = request.body
        return Answer()

    def commit(self, request: Request) -> Answer:
        repo = self._writable(request)
        header, *changes = [json.loads(line) for line in request.body.splitlines()]
        files = dict(repo.files)
        for change in changes:
            self._change(files, change["key"], change["value"])
        commit = repo.add(header["value"]["summary"], files)
        url = f"{self.endpoint}/{request.groups['repo']}/commit/{commit.oid}"
        ids = {"commitUrl": url, "commitOid": commit.oid, "pullRequestUrl": None}
        return Answer({"success": True} | ids)

    # Download

    def resolve(self, request: Request) -> Answer:
        commit, path = self._commit(request), request.groups["path"]
        headers = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
        if path not in commit.files:
            code = {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"}
            return Answer({"error": "Entry not found"}, 404, headers | code)
        content = commit.files[path]
        entry = _entry(path, content)
        headers["ETag"] = f'"{entry["oid"]}"'
        if "lfs" not in entry:
            return Answer(content, 200, headers)
        headers["X-Linked-Size"] = str(len(content))
        headers["X-Linked-ETag"] = f'"{entry["lfs"]["oid"]}"'
        headers["Location"] = f"{self.storage}/cdn/{entry['lfs']['oid']}"
        return Answer(b"", 302, headers)

    def cdn(self, request: Request) -> Answer:
        self._refuse_token(request)
        oid = request.groups["oid"]
        if oid not in self.objects:
            raise RefusedError(404, "no such object")
        return Answer(self.objects[oid], 200, {"ETag": f'"{oid}"', "Accept-Ranges": "bytes"})

    # What the routes share

    def _require_token(self, request: Request) -> None:
        if request.token is None:
            raise RefusedError(401, "Invalid username or password.")
        if request.token != self.token:
            raise RefusedError(401, "Invalid credentials in Authorization header")

    def _refuse_token(self, request: Request) -> None:
        if request.token is not None:
            raise RefusedError(400, "the token was sent to the storage host")

    def _writable(self, request: Request) -> Repo:
        self._require_token(request)
        return self._repo(request)

    def _repo(self, request: Request) -> Repo:
        repo, known = self.repos.get(request.groups["repo"]), request.token == self.token
        if repo is None or (repo.private and not known):
            raise RefusedError(404 if known else 401, "Repository not found", "RepoNotFound")
        return repo

    def _commit(self, request: Request) -> Commit:
        revision = request.groups.get("revision", "main")
        commit = self._repo(request).at(revision)
        if commit is None:
            raise RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    def _lfs_action(self, oid: str, size: int) -> dict[str, Any]:
        known = {"oid": oid, "size": size}
        if oid in self.objects:
            return known
        return known | {"actions": {"upload": {"href": f"{self.storage}/lfs/{oid}"}}}

    def _change(self, files: dict[str, bytes], key: str, value: dict[str, Any]) -> None:
        path = value["path"]
        if key == "file":
            files[path] = base64.b64decode(value["content"])
        elif key == "deletedFile":
            del files[path]
        elif key == "lfsFile" and value["oid"] in self.objects:
            files[path] = self.objects[value["oid"]]
        else:
            raise RefusedError(400, f"cannot commit {key} {path}: its content was never uploaded")


def _entry(path: str, content: bytes) -> dict[str, Any]:
    git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": git}
    if path.endswith(LFS_SUFFIXES):
        oid = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"oid": oid, "sha256": oid, "size": len(content), "pointerSize": 134}
    return entry


def _upload_mode(path: str, files: dict[str, bytes]) -> dict[str, Any]:
    mode = "lfs" if path.endswith(LFS_SUFFIXES) else "regular"
    known = _entry(path, files[path]) if path in files else {}
    oid = known.get("lfs", known).get("oid")
    return {"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid}


def _routes(hub: HubServer) -> list[tuple[str, str, Any]]:
    repo, revision = r"(?P<repo>[\w.-]+/[\w.-]+)", r"(?P<revision>[^/]+)"
    return [
        ("GET", r"/api/whoami-v2", hub.whoami),
        ("POST", r"/api/repos/create", hub.create),
        ("POST", r"/api/validate-yaml", hub.validate_yaml),
        ("POST", rf"/api/models/{repo}/preupload/{revision}", hub.preupload),
        ("POST", rf"/api/models/{repo}/commit/{revision}", hub.commit),
        ("POST", rf"/api/models/{repo}/paths-info/{revision}", hub.paths_info),
        ("GET", rf"/api/models/{repo}/tree/{revision}(/(?P<path>.+))?", hub.tree),
        ("GET", rf"/api/models/{repo}(/revision/{revision})?", hub.info),
        ("POST", rf"/{repo}\.git/info/lfs/objects/batch", hub.lfs_batch),
        ("PUT", r"/lfs/(?P<oid>[0-9a-f]{64})", hub.lfs_upload),
        ("GET", rf"/{repo}/resolve/{revision}/(?P<path>.+)", hub.resolve),
        ("GET", r"/cdn/(?P<oid>[0-9a-f]{64})", hub.cdn),
    ]
