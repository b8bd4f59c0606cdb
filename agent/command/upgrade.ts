/**
 * Carries out an ordered upgrade of this very program: downloads the release from its own control
 * plane, verifies it (`release-check.ts`), tries it, puts it in the place of the running binary,
 * keeps that one beside it (`navarch-node.previous`), and ends so that the service manager starts
 * the new one. Every step before the last rename can fail without a trace.
 *
 * An older release is refused whoever orders it: it may lack the repair of a hole that is known by
 * now. The one way back by order is to the very binary that the last upgrade replaced.
 *
 * It does not need `--allow-commands`, which guards the work on the node; what it needs is the
 * administrator's consent that the folder of the binary is writable to it (`allow-upgrades.conf`).
 *
 * Adapter: files, network, child processes.
 */
import * as fs from "node:fs";
import { dirname } from "node:path";
import type { AgentCommand, CommandResult } from "../../schema/report.ts";
import { compareVersions, isRelease, RELEASE_EXPECTED } from "../../schema/release.ts";
import { type StateFiles, syncFolder, writeAll } from "../state-file.ts";
import type { Tls } from "../trust.ts";
import { resultOf } from "./order.ts";
import { checkRelease, type ReleaseAsk } from "./release-check.ts";
import { replacedBy, TRIAL_FILE, type TrialNote } from "./upgrade-trial.ts";

export type UpgradeParts = {
  /** The running program's own file. */
  binary: string;
  version: string;
  /** Base URL of the control plane; an order names a path below it. */
  base: string;
  /** Fetches what is needed to trust it; `null` = connections may be made. */
  ready: () => Promise<string | null>;
  tls: () => Tls | null;
  /** As releases name it: `linux-amd64`. */
  platform: string;
  /** Whether the release key that this node was enrolled with signed these bytes. */
  hasSigned: ReleaseAsk["hasSigned"];
  files: StateFiles;
  /** Wall milliseconds. */
  now: () => number;
  /** Says goodbye and ends the process, soon but not at once; the new binary is in place. */
  leave: () => void;
};

/** A release is about 100 MB; whatever is larger than this is not one. */
const BYTES_MAX = 512 * 1_024 * 1_024;
/** On a slow line of 10 Mbit/s a release takes 80 s; the order's own deadline is 3 min. */
const DOWNLOAD_MS = 150_000;
/** `--version` takes 0.1 s; a machine whose work takes all cores is slow. */
const TRY_MS = 20_000;
/** How long the new one may take to be heard before it goes back, if the order does not say. */
const CONFIRM_MS = 180_000;

export type Upgrader = (command: AgentCommand) => Promise<CommandResult>;

/** One at a time: an order to go back waits for the one before it, which ends this process. */
export function openUpgrader(parts: UpgradeParts): Upgrader {
  let last: Promise<unknown> = Promise.resolve();
  let leaving = false;
  return (command) => {
    const turn = last.then(async () => {
      // Not answered, so it is given again to the program that comes next.
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
    // Noted first: a program that is in place without it would have no way back by itself.
    const unsaved = back === "true" ? null : files.save(TRIAL_FILE, JSON.stringify(note));
    if (unsaved !== null) throw new Error(`cannot note the way back: ${unsaved}`);
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

/** Why it would be a step back from what runs, or `null`. */
function whyOlder(to: string, version: string): string | null {
  const order = compareVersions(to, version);
  if (order !== null && order >= 0) return null;
  const known = order === null ? "cannot be compared with" : "is older than";
  return `${to} ${known} ${version}: a downgrade needs a person at the machine`;
}

/** Why it is not the release that the last upgrade replaced by the running one, or `null`. */
function whyNotBack(to: string, { files, version }: UpgradeParts): string | null {
  if (replacedBy(files, version) === to) return null;
  return `${to} is not what ${version} replaced: a downgrade needs a person at the machine`;
}

/** Why nothing can be put beside the binary, or `null`. */
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

/** The binary under another name, without a moment in which either name is missing. */
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
  // A path of its own control plane and nothing else: `//host` would be another's.
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

/** Writes what is there, durable and executable; the answer is its SHA-256, hex. */
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
    // The unit's umask would leave it to root alone, and people run it too.
    fs.fchmodSync(file, 0o755);
    fs.fsyncSync(file);
    return hash.digest("hex");
  } finally {
    fs.closeSync(file);
  }
}

/** Whether the file runs on this machine and is what the order says; `null` = it is. */
async function tryOut(path: string, version: string): Promise<string | null> {
  try {
    const child = Bun.spawn([path, "--version"], {
      cwd: "/",
      env: {},
      stdio: ["ignore", "pipe", "ignore"],
      timeout: TRY_MS,
    });
    const [said] = await Promise.all([child.stdout.text(), child.exited]);
    if (said.trim() === `navarch-node ${version}`) return null;
    return `${path} says ${JSON.stringify(said.trim().slice(0, 80))}, not navarch-node ${version}`;
  } catch (cause) {
    return `${path} does not run: ${explain(cause)}`;
  }
}

function explain(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).slice(0, 300);
}
