/**
 * Upgrades this program by order: downloads the release from its control plane, verifies it
 * (`release-check.ts`), runs it once, replaces the running binary, keeps that as
 * `navarch-node.previous`, and exits for the service manager to start the new one.
 *
 * An older release is refused, because it may lack a security fix; the only rollback by order is to
 * the binary that the last upgrade replaced. Upgrades need no `--allow-commands`, but a writable
 * folder of the binary (`allow-upgrades.conf`).
 *
 * Adapter: files, network, child processes.
 */
import * as fs from "node:fs";
import { dirname } from "node:path";
import type { AgentCommand, CommandResult } from "../../schema/report.ts";
import { compareVersions, isRelease, RELEASE_EXPECTED } from "../../schema/release.ts";
import { type StateFiles, syncFolder, writeAll } from "../spool/state-file.ts";
import type { Tls } from "../trust/trust.ts";
import { resultOf } from "./order.ts";
import { checkRelease, type ReleaseAsk } from "./release-check.ts";
import { replacedBy, TRIAL_FILE, type TrialNote } from "./upgrade-trial.ts";

export type UpgradeParts = {
  /** The running program's own file. */
  binary: string;
  version: string;
  /** Base URL of the control plane; an order names a path below it. */
  base: string;
  /** See `Trust.ready`. */
  ready: () => Promise<string | null>;
  tls: () => Tls | null;
  /** Named as in releases: `linux-amd64`. */
  platform: string;
  /** Whether the release key that this node was enrolled with signed these bytes. */
  hasSigned: ReleaseAsk["hasSigned"];
  files: StateFiles;
  /** Wall milliseconds. */
  now: () => number;
  /** Ends the process soon, after a last report; the new binary is in place. */
  leave: () => void;
};

/** A release is about 100 MB. */
const BYTES_MAX = 512 * 1_024 * 1_024;
/** At 10 Mbit/s a release takes 80 s; the order's own deadline is 3 min. */
const DOWNLOAD_MS = 150_000;
/** `--version` takes 0.1 s, more on a fully loaded machine. */
const TRY_MS = 20_000;
/** Default time until the first reply, after which the new program rolls back. */
const CONFIRM_MS = 180_000;

export type Upgrader = (command: AgentCommand) => Promise<CommandResult>;

/** One at a time: a later order waits for the one before it, which ends this process. */
export function openUpgrader(parts: UpgradeParts): Upgrader {
  let last: Promise<unknown> = Promise.resolve();
  let leaving = false;
  return (command) => {
    const turn = last.then(async () => {
      // Unanswered, the order is repeated to the next program.
      if (leaving) return await new Promise<CommandResult>(() => {});
      const answer = await upgrade(command, parts).catch((cause: unknown) => {
        return resultOf(command.command_id, "failed", explain(cause), null);
      });
      leaving = answer.outcome === "succeeded" && answer.output !== alreadyAt(parts.version);
      return answer;
    });
    last = turn;
    return turn;
  };
}

const alreadyAt = (version: string): string => `it is ${version} already`;

async function upgrade(command: AgentCommand, parts: UpgradeParts): Promise<CommandResult> {
  const { command_id: id, parameters } = command;
  const { binary, version, files, now } = parts;
  const { version: to = "", back } = parameters;
  if (!isRelease(to)) {
    const why = `parameter version: expected ${RELEASE_EXPECTED}, found ${JSON.stringify(to)}`;
    return resultOf(id, "rejected", why, null);
  }
  if (to === version) return resultOf(id, "succeeded", alreadyAt(version), 0);
  const unwanted = back === "true" ? whyNotBack(to, parts) : whyOlder(to, version);
  if (unwanted !== null) return resultOf(id, "rejected", unwanted, null);
  const barred = whyBarred(binary);
  if (barred !== null) return resultOf(id, "rejected", barred, null);
  const made = back === "true" ? previousOf(binary) : await download(parameters, parts);
  if (!made.ok) return resultOf(id, "failed", made.why, null);
  const problem = await tryOut(made.path, to);
  if (problem !== null) {
    if (back !== "true") fs.rmSync(made.path, { force: true });
    return resultOf(id, "failed", problem, null);
  }
  const confirmMs = Number(parameters["confirm_ms"]) || CONFIRM_MS;
  const note: TrialNote = { from: version, to, at: now(), confirm_ms: confirmMs, starts: 0 };
  try {
    // Noted first: without the note, the new program could not roll back.
    const unsaved = back === "true" ? null : files.save(TRIAL_FILE, JSON.stringify(note));
    if (unsaved !== null) throw new Error(`cannot store the note for a rollback: ${unsaved}`);
    if (back !== "true") keepPrevious(binary);
    fs.renameSync(made.path, binary);
    syncFolder(binary);
  } catch (cause) {
    fs.rmSync(nextOf(binary), { force: true });
    return resultOf(id, "failed", explain(cause), null);
  }
  parts.leave();
  return resultOf(id, "succeeded", `${to} is in place of ${version}; restarting`, 0);
}

/** Why `to` would be a downgrade, or `null`. */
function whyOlder(to: string, version: string): string | null {
  const order = compareVersions(to, version);
  if (order !== null && order >= 0) return null;
  const known = order === null ? "cannot be compared with" : "is older than";
  return `${to} ${known} ${version}: a downgrade needs a person at the machine`;
}

/** Why `to` is not the release that the last upgrade replaced, or `null`. */
function whyNotBack(to: string, { files, version }: UpgradeParts): string | null {
  if (replacedBy(files, version) === to) return null;
  return `${to} is not what ${version} replaced: a downgrade needs a person at the machine`;
}

/** Why the folder of the binary is not writable, or `null`. */
export function whyBarred(binary: string): string | null {
  try {
    fs.accessSync(dirname(binary), fs.constants.W_OK);
    return null;
  } catch {
    return `${dirname(binary)} is not writable to the agent (see allow-upgrades.conf)`;
  }
}

const nextOf = (binary: string): string => `${binary}.next`;
export const previousPath = (binary: string): string => `${binary}.previous`;

type Made = { ok: true; path: string } | { ok: false; why: string };

function previousOf(binary: string): Made {
  const path = previousPath(binary);
  if (fs.existsSync(path)) return { ok: true, path };
  return { ok: false, why: `${path} does not exist` };
}

/** Links the binary to its previous name; neither name is ever missing. */
function keepPrevious(binary: string): void {
  const fresh = `${previousPath(binary)}.new`;
  fs.rmSync(fresh, { force: true });
  fs.linkSync(binary, fresh);
  fs.renameSync(fresh, previousPath(binary));
}

async function download(
  parameters: AgentCommand["parameters"],
  parts: UpgradeParts,
): Promise<Made> {
  const { base, binary, platform, ready, tls } = parts;
  const { url = "", sha256 = "", version = "" } = parameters;
  // A path of its own control plane: `//host` would be another host.
  if (!/^\/[A-Za-z0-9][A-Za-z0-9._~+%/-]*$/.test(url)) {
    return { ok: false, why: "parameter url must be a path of the control plane" };
  }
  if (!/^[0-9a-f]{64}$/.test(sha256)) {
    return { ok: false, why: "parameter sha256 must be 64 hexadecimal digits" };
  }
  const name = `navarch-node-${platform}`;
  const folder = url.slice(0, url.lastIndexOf("/"));
  if (url !== `${folder}/${name}`) {
    return { ok: false, why: `${url} is not for this machine: expected ${name}` };
  }
  const path = nextOf(binary);
  try {
    const untrusted = await ready();
    if (untrusted !== null) return { ok: false, why: untrusted };
    const { hasSigned } = parts;
    const release = { folder: `${base}${folder}`, version, name, sha256, tls: tls(), hasSigned };
    const unsigned = await checkRelease(release);
    if (unsigned !== null) return { ok: false, why: unsigned };
    const found = await fetchInto(`${base}${url}`, path, tls());
    if (found === sha256) return { ok: true, path };
    fs.rmSync(path, { force: true });
    return { ok: false, why: `${url} has the checksum ${found}, not ${sha256}` };
  } catch (cause) {
    fs.rmSync(path, { force: true });
    return { ok: false, why: `cannot download ${url}: ${explain(cause)}` };
  }
}

/** Downloads a durable, executable file; answers its SHA-256, hex. */
async function fetchInto(url: string, path: string, tls: Tls | null): Promise<string> {
  const signal = AbortSignal.timeout(DOWNLOAD_MS);
  const response = await fetch(url, { redirect: "error", signal, ...(tls && { tls }) });
  if (!response.ok || response.body === null) throw new Error(`status ${response.status}`);
  fs.rmSync(path, { force: true });
  const file = fs.openSync(path, "wx", 0o755);
  try {
    const hash = new Bun.CryptoHasher("sha256");
    let bytes = 0;
    for await (const chunk of response.body) {
      bytes += chunk.byteLength;
      if (bytes > BYTES_MAX) throw new Error(`more than ${BYTES_MAX} bytes`);
      hash.update(chunk);
      writeAll(file, chunk);
    }
    // The unit's umask would restrict it to root.
    fs.fchmodSync(file, 0o755);
    fs.fsyncSync(file);
    return hash.digest("hex");
  } finally {
    fs.closeSync(file);
  }
}

/** Why the file does not run here as `version`, or `null`. */
async function tryOut(path: string, version: string): Promise<string | null> {
  try {
    const child = Bun.spawn([path, "--version"], {
      cwd: "/",
      env: {},
      stdio: ["ignore", "pipe", "ignore"],
      timeout: TRY_MS,
    });
    const [output] = await Promise.all([child.stdout.text(), child.exited]);
    const found = output.trim();
    if (found === `navarch-node ${version}`) return null;
    return `${path} prints ${JSON.stringify(found.slice(0, 80))}, not navarch-node ${version}`;
  } catch (cause) {
    return `${path} does not run: ${explain(cause)}`;
  }
}

function explain(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).slice(0, 300);
}
