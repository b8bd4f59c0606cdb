/**
 * What the installer's tests stand on: a control plane's install routes on loopback, releases of
 * tiny agents in a folder, and the script run by a real shell against a scratch root. What travels
 * can be changed on its way, as a man in the middle would.
 */
import { chmodSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync } from "node:fs";
import { readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf, openReleases } from "../../reconciler/http/route/release-folder.ts";
import { openReleaseKey, type ReleaseKey } from "../../reconciler/security/release-key.ts";
import { openInstallApp } from "./serve.ts";

export const SCRIPT = join(import.meta.dir, "..", "..", "bootstrap", "install", "install.sh");
export const TOKEN = `nvj.${"k".repeat(43)}`;
export const UNIT =
  "[Service]\nExecStart=navarch-node\nEnvironmentFile=-/etc/navarch-node/environment\n";

/** An agent of 200 bytes that knows its version. */
export function agentOf(version: string): string {
  const said = `[ "$1" = --version ] && echo "navarch-node ${version}"`;
  return `#!/bin/sh\n# ${"x".repeat(120)}\n${said}\n`;
}

export type Ran = { code: number; out: string; err: string };

/** Gets the answer before it is sent; another one may take its place. */
export type Meddle = (path: string, answer: Response) => Response | Promise<Response>;

export type Bench = {
  folder: string;
  root: string;
  url: string;
  key: ReleaseKey;
  requests: string[];
  meddle: { with: Meddle };
  /** Writes a release with agents for both architectures unless others are named. */
  release(version: string, architectures?: readonly string[]): void;
  /** Runs the script as the control plane serves it, against the scratch root. */
  install(args?: readonly string[], how?: How): Promise<Ran>;
  run(command: readonly string[], env?: Record<string, string>): Promise<Ran>;
  /** Every path below the root with kind, mode, inode, time and content. */
  tree(): string[];
  /** Closes every connection in the middle of whatever it carries; new ones are not taken. */
  cut(): Promise<void>;
  close(): Promise<void>;
};

export type How = {
  shell?: readonly string[];
  env?: Record<string, string>;
  /** Another text in place of the served one. */
  script?: string;
};

export type BenchOptions = {
  tls?: { cert: string; key: string; ca: string };
};

export async function openBench(options: BenchOptions = {}): Promise<Bench> {
  const folder = mkdtempSync(join(tmpdir(), "navarch-install-"));
  const root = join(folder, "root");
  mkdirSync(root);
  const releases = join(folder, "release");
  const { key } = openReleaseKey(join(folder, "key.pem"), () => new Uint8Array(32).fill(7));
  const own = { version: "0.1.0", files: new Map() };
  const app = openInstallApp({ releases: openReleases([releases], own), key, server: () => null });
  const requests: string[] = [];
  const meddle: { with: Meddle } = { with: (_path, answer) => answer };
  const { tls } = options;
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    ...(tls === undefined ? {} : { tls: { cert: tls.cert, key: tls.key } }),
    async fetch(request) {
      // A Host that is none leaves a path alone as the URL.
      const { pathname } = new URL(request.url, "http://none");
      requests.push(pathname);
      if (pathname === "/ca.pem" && tls !== undefined) return new Response(tls.ca);
      return meddle.with(pathname, await app.fetch(request));
    },
  });
  const url = `${tls === undefined ? "http" : "https"}://127.0.0.1:${server.port}`;
  const run: Bench["run"] = async (command, env = {}) => {
    const child = Bun.spawn([...command], {
      cwd: folder,
      env: { PATH: process.env["PATH"] ?? "", TMPDIR: folder, ...env },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const [code, out, err] = await Promise.all([
      child.exited,
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    return { code, out, err };
  };
  return {
    folder,
    root,
    url,
    key,
    requests,
    meddle,
    run,
    release(version, architectures = ["amd64", "arm64"]) {
      writeRelease(join(releases, version), version, architectures);
    },
    async install(args = ["--join-token", TOKEN], how = {}) {
      const path = join(folder, "served.sh");
      const text = how.script ?? (await (await app.request(`${url}/install.sh`)).text());
      writeFileSync(path, text);
      const shell = how.shell ?? ["sh"];
      return run([...shell, path, "--root", root, ...args], how.env);
    },
    tree: () => treeOf(root),
    cut: () => server.stop(true),
    async close() {
      await server.stop(true);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function writeRelease(folder: string, version: string, architectures: readonly string[]): void {
  mkdirSync(folder, { recursive: true });
  const files = new Map([["VERSION", `${version}\n`]]);
  files.set("navarch-node.service", UNIT);
  for (const each of architectures) files.set(`navarch-node-linux-${each}`, agentOf(version));
  for (const [name, text] of files) writeFileSync(join(folder, name), text);
  const sums = [...files].map(([name, text]) => `${digestOf(text)}  ${name}\n`);
  writeFileSync(join(folder, "SHA256SUMS"), sums.join(""));
}

function treeOf(folder: string, below = ""): string[] {
  return readdirSync(join(folder, below))
    .sort()
    .flatMap((name) => {
      const path = join(below, name);
      const { mode, ino, mtimeMs } = lstatSync(join(folder, path));
      const stat = lstatSync(join(folder, path));
      if (stat.isDirectory()) {
        return [`${path}/ ${(mode & 0o777).toString(8)}`, ...treeOf(folder, path)];
      }
      if (stat.isSymbolicLink()) return [`${path} -> ${readlinkSync(join(folder, path))}`];
      const text = readFileSync(join(folder, path), "utf8");
      return [`${path} ${(mode & 0o777).toString(8)} ${ino} ${mtimeMs} ${digestOf(text)}`];
    });
}

/** A folder for PATH with what the script needs, without some tools and with others in place. */
export function toolFolder(
  folder: string,
  changes: { without?: readonly string[]; with?: Readonly<Record<string, string>> },
): string {
  const path = mkdtempSync(join(folder, "tools-"));
  const needed = (
    "sh cat sed tr cut head base64 sha256sum mktemp uname id rm mv cp ln mkdir chmod sync sleep " +
    "grep openssl curl wget flock dash bash busybox"
  ).split(" ");
  for (const tool of needed) {
    const found = changes.without?.includes(tool) ? null : Bun.which(tool);
    if (found !== null && changes.with?.[tool] === undefined) symlinkSync(found, join(path, tool));
  }
  for (const [tool, script] of Object.entries(changes.with ?? {})) {
    writeFileSync(join(path, tool), script);
    chmodSync(join(path, tool), 0o755);
  }
  return path;
}

/** The shells that this machine has, as one would be put behind the pipe. */
export function shells(): string[][] {
  const all = [["sh"], ["dash"], ["bash"], ["bash", "--posix"], ["busybox", "sh"], ["ksh"]];
  return all.filter(([name = ""]) => {
    const path = Bun.which(name);
    return path !== null && existsSync(path);
  });
}
