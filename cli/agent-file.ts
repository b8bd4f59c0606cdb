/**
 * Finds the agent binary for a machine: the file of `--agent`, else the binaries beside this
 * program (both pushed over SSH), else a download from the control plane. The checksum is always
 * sent over SSH, so the download need not be trusted.
 *
 * Adapter: reads files.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { dirname, join } from "node:path";
import type { AgentBinary, Arch } from "../bootstrap/run/job.ts";
import { openReleases, parseSums, type Release } from "../reconciler/http/route/release-folder.ts";
import { VERSION } from "../schema/version.ts";
import type { Client } from "./client.ts";
import { type Failure, usage } from "./failure.ts";
import type { Read } from "./host-flag.ts";
import { explainPath } from "./path.ts";

export type Agents = Readonly<Record<Arch, AgentBinary | null>>;

export const NO_AGENTS: Agents = { x64: null, arm64: null };

/** The names of the binaries in a release. */
const NAMES: Readonly<Record<Arch, string>> = {
  x64: "navarch-node-linux-amd64",
  arm64: "navarch-node-linux-arm64",
};

export type AgentFile = { arch: Arch; binary: AgentBinary };

/** The file of `--agent`, with the architecture that it runs on. */
export async function readAgentFile(path: string): Promise<Read<AgentFile>> {
  let arch: Arch | null;
  try {
    arch = readArch(path);
  } catch (error) {
    return usage(`--agent ${path}: ${explainPath(path, error)}`);
  }
  if (arch === null) {
    return usage(`--agent ${path}: expected a program for Linux on x86_64 or aarch64`);
  }
  const hash = new Bun.CryptoHasher("sha256");
  for await (const chunk of Bun.file(path).stream()) hash.update(chunk);
  return { ok: true, value: { arch, binary: { url: "", sha256: hash.digest("hex"), path } } };
}

/** `e_ident` and `e_machine` of elf(5), which is little-endian on both. */
function readArch(path: string): Arch | null {
  const head = Buffer.alloc(20);
  const file = openSync(path, "r");
  try {
    if (readSync(file, head, 0, head.length, 0) < head.length) return null;
  } finally {
    closeSync(file);
  }
  if (head.toString("latin1", 0, 4) !== "\x7fELF") return null;
  const machine = head.readUInt16LE(18);
  return machine === 62 ? "x64" : machine === 183 ? "arm64" : null;
}

/** The agents beside the program at `execPath`: in its release folder, or of the same build. */
export async function readOwnAgents(execPath: string, architecture: string): Promise<Agents> {
  const beside = dirname(execPath);
  const name = architecture === "arm64" ? NAMES.arm64 : NAMES.x64;
  const built = new Map([[name, { path: join(beside, "navarch-node") }]]);
  const own = { version: VERSION, files: built };
  const release = await openReleases([join(beside, "release")], own).latest();
  return { x64: ofRelease(release, "x64"), arm64: ofRelease(release, "arm64") };
}

function ofRelease(release: Release | null, arch: Arch): AgentBinary | null {
  const file = release?.files.get(NAMES[arch]);
  if (file === undefined || !("path" in file.source)) return null;
  return { url: "", sha256: file.sha256, path: file.source.path };
}

/** The agents that the control plane offers for download; none without a release. */
export async function askAgents(client: Client): Promise<Agents | Failure> {
  const page = await client.page("/releases/latest/SHA256SUMS");
  if (!page.ok) return page;
  const sums = page.status === 200 ? parseSums(page.body) : new Map<string, string>();
  const agentOf = (arch: Arch): AgentBinary | null => {
    const sha256 = sums.get(NAMES[arch]);
    if (sha256 === undefined) return null;
    return { url: `/releases/latest/${NAMES[arch]}`, sha256, path: null };
  };
  return { x64: agentOf("x64"), arm64: agentOf("arm64") };
}
