/**
 * What a bare machine downloads to become a node: the installer, the releases with their checksums,
 * and the signature over those. Public: a machine has no credential yet, and nothing here is
 * secret. GET and HEAD only, whole files or one range. The download paths of the guide's
 * `setup_commands` work too, so that only the host has to be replaced.
 *
 * Adapter: files.
 */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Context } from "hono";
import { formatInstaller, isInstallerServer } from "../../../bootstrap/install/script.ts";
import { NODE_UNIT } from "../../../bootstrap/install/script.ts";
import type { Env, Route } from "./route.ts";
import {
  openReleases,
  type OwnRelease,
  digestOf,
  type InstallPorts,
  type Release,
  type ReleaseFile,
  type Served,
} from "./release-folder.ts";
import { openReleaseKey } from "../../security/release-key.ts";
import { Refusal } from "./request.ts";

export type InstallFrom = {
  /** The state folder: the key, and the first place to look for releases (`release/VERSION`). */
  state: string;
  /** The folder of the running binary: the second place, which also holds its agent binary. */
  beside: string;
  /** This program's. */
  version: string;
  /** `process.arch`. */
  architecture: string;
  /** 32 bytes; replicas of one database give the same. */
  seed: () => Uint8Array;
  server: () => string | null;
};

/** The file name of `navarch-node` in a release, by `process.arch`. */
export const AGENTS = {
  x64: "navarch-node-linux-amd64",
  arm64: "navarch-node-linux-arm64",
} as const;

/** Throws if the key cannot be read or written. */
export function openInstall(from: InstallFrom): InstallPorts & { fresh: boolean } {
  const { state, beside, server } = from;
  const { key, fresh } = openReleaseKey(join(state, "release-key.pem"), from.seed);
  const folders = [join(state, "release"), join(beside, "release")];
  return { releases: openReleases(folders, readOwn(from)), key, server, fresh };
}

/** The agent beside this program is of the same build, because one command makes both. */
function readOwn({ beside, version, architecture }: InstallFrom): OwnRelease {
  const files = new Map<string, { path: string } | { text: string }>([
    ["navarch-node.service", { text: NODE_UNIT }],
  ]);
  const agent = join(beside, "navarch-node");
  const name = architecture === "x64" || architecture === "arm64" ? AGENTS[architecture] : null;
  if (name !== null && existsSync(agent)) files.set(name, { path: agent });
  return { version, files };
}

const SUMS = "SHA256SUMS";
const SIGNATURE = "SHA256SUMS.sig";
/** Download path of the guide, below the host. */
const GUIDE = "/NavarchProject/navarch/releases";

/** The script as it was sent last: it is the same until a release or the server changes. */
let last = { of: "", script: new Blob() };

async function sendInstaller(c: Context<Env>, ports: InstallPorts): Promise<Response> {
  const release = await ports.releases.latest();
  const sums =
    release === null ? null : { version: release.version, sha256: digestOf(release.sums) };
  const values = { server: serverOf(c, ports), key: ports.key.publicBase64, sums };
  const of = JSON.stringify(values);
  if (last.of !== of) last = { of, script: new Blob([formatInstaller(values)]) };
  const headers = { ...SMALL, "Content-Type": "text/x-shellscript; charset=utf-8" };
  return new Response(last.script, { headers });
}

async function send(c: Context<Env>, { releases, key }: InstallPorts): Promise<Response> {
  const { version = "latest", name = "" } = c.req.param() as Record<string, string | undefined>;
  const wanted = version.replace(/^v(?=\d)/, "");
  const release = await (wanted === "latest" ? releases.latest() : releases.find(wanted));
  if (release === null) return missing(c, sayNoRelease(wanted));
  if (name === SUMS) return text(c, release.sums, "text/plain; charset=utf-8");
  if (name === SIGNATURE) {
    return bytes(c, key.sign(Buffer.from(release.sums)), "application/octet-stream");
  }
  const file = release.files.get(name);
  return file === undefined ? missing(c, sayNoFile(release, name)) : sendFile(c, file);
}

/**
 * The configured server, else the name of the request, which evidently reaches us. It goes into a
 * script, so only a host and a port are accepted.
 */
function serverOf(c: Context<Env>, ports: InstallPorts): string | null {
  const configured = ports.server();
  if (configured !== null && isInstallerServer(configured)) return configured;
  if (!URL.canParse(c.req.url)) return null;
  const url = new URL(c.req.url);
  // The placeholder for a request without a usable Host (`listen.ts`); reserved by RFC 6761.
  if (url.hostname.endsWith(".invalid")) return null;
  // A proxy that ends TLS sets it. A caller that forges it only harms its own script.
  const scheme = c.req.header("X-Forwarded-Proto") === "https" ? "https:" : url.protocol;
  const server = `${scheme}//${url.host}`;
  return isInstallerServer(server) ? server : null;
}

function sayNoRelease(version: string): string {
  if (version !== "latest") return `this control plane has no release ${version}`;
  return "this control plane has no release: put one into its release folder (npm run release)";
}

function sayNoFile({ version, files }: Release, name: string): string {
  const all = [...files.keys()].filter((each) => each.startsWith("navarch-node-linux-"));
  const has = all.length === 0 ? "no agent" : all.join(", ");
  return `release ${version} of this control plane has no ${name.slice(0, 80)}; it has ${has}`;
}

/** Plain text, for people who read the output of curl. */
function missing(c: Context<Env>, message: string): Response {
  return c.text(`${message}\n`, 404);
}

function text(c: Context<Env>, body: string, type: string): Response {
  return bytes(c, new TextEncoder().encode(body), type);
}

/** Small, and no proxy keeps it. */
function bytes(c: Context<Env>, body: Uint8Array<ArrayBuffer>, type: string): Response {
  return c.body(body, 200, { ...SMALL, "Content-Type": type });
}

const COMMON = { "X-Content-Type-Options": "nosniff" };
const SMALL = { ...COMMON, "Cache-Control": "no-store" };

function sendFile(c: Context<Env>, { sha256, source }: ReleaseFile): Response {
  const blob = "text" in source ? new Blob([source.text]) : Bun.file(source.path);
  const size = "text" in source ? blob.size : statSync(source.path).size;
  // The same on every replica.
  const etag = `"${sha256}"`;
  const headers: Record<string, string> = {
    ...COMMON,
    ETag: etag,
    "Accept-Ranges": "bytes",
    // `latest` changes, and a version may be built again: always revalidate, rarely transfer.
    "Cache-Control": "no-cache",
    "Content-Type": "application/octet-stream",
  };
  if (matches(c.req.header("If-None-Match"), etag)) return c.body(null, 304, headers);
  const condition = c.req.header("If-Range");
  const asked = condition === undefined || condition === etag ? c.req.header("Range") : undefined;
  const range = parseRange(asked, size);
  if (range === "unsatisfiable") {
    return c.body(null, 416, { ...headers, "Content-Range": `bytes */${size}` });
  }
  const { from, to } = range ?? { from: 0, to: size };
  const partial = range === null ? {} : { "Content-Range": `bytes ${from}-${to - 1}/${size}` };
  const length = { "Content-Length": String(to - from) };
  const body = c.req.method === "HEAD" ? null : range === null ? blob : blob.slice(from, to);
  return new Response(body, {
    status: range === null ? 200 : 206,
    headers: { ...headers, ...length, ...partial },
  });
}

function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.split(",").some((each) => [etag, `W/${etag}`, "*"].includes(each.trim()));
}

/**
 * The half-open range of bytes of a `Range` header (RFC 9110 §14.1.2). `null` = send everything: no
 * header, several ranges, or an invalid one.
 */
export function parseRange(
  header: string | undefined,
  size: number,
): { from: number; to: number } | "unsatisfiable" | null {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? "");
  if (match === null) return null;
  const [, first = "", last = ""] = match;
  if (first === "" && last === "") return null;
  if (first === "") {
    const from = Math.max(0, size - Number(last));
    return Number(last) === 0 || size === 0 ? "unsatisfiable" : { from, to: size };
  }
  const from = Number(first);
  const to = last === "" ? size : Math.min(size, Number(last) + 1);
  if (last !== "" && Number(last) < from) return null;
  return from >= size ? "unsatisfiable" : { from, to };
}

function row(
  at: `GET /${string}`,
  says: string,
  answer: (c: Context<Env>, install: InstallPorts) => Response | Promise<Response>,
): Route<Served> {
  return {
    ...{ at, says, access: "public", isText: true },
    run(c, { install }) {
      if (install === null) throw new Refusal("not_found", "this control plane serves no releases");
      return answer(c, install);
    },
  };
}

export const installRoutes: readonly Route<Served>[] = [
  row("GET /install.sh", "the installer of the agent", sendInstaller),
  row("GET /releases/key.pem", "the key that signs releases", (c, { key }) =>
    text(c, key.publicPem, "application/x-pem-file"),
  ),
  row("GET /releases/:version/:name", "a file of a release", send),
  row(`GET ${GUIDE}/latest/download/:name`, "as the guide downloads it", send),
  row(`GET ${GUIDE}/download/:version/:name`, "as the guide downloads it", send),
];
