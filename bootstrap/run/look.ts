/**
 * Inspects a machine before anything is changed: its system, whether root is available, which of
 * our addresses it reaches. Then claims it, which ends what an earlier run left and shows which
 * commands are done.
 */
import type { Shell } from "../shell.ts";
import { type Answer, failed, good, refused, stale } from "./end.ts";
import type { Arch, Candidate, Job } from "./job.ts";
import { collect, endOf, lastLineOf, type Machine } from "./machine.ts";
import { ADDRESS, CLAIM, LOOK, programLine } from "./script.ts";

/** Limit of each of our programs; a claim may wait for processes to end. */
const PROGRAM_MS = 30_000;

export type Sight = {
  arch: Arch;
  isRoot: boolean;
  home: string;
  /** The address from which the machine sees our connection; empty if unknown. */
  client: string;
  tools: ReadonlySet<string>;
  /** `null` = sudo works without a password; else its message. */
  noSudo: string | null;
};

const ARCHES: Readonly<Record<string, Arch>> = {
  x86_64: "x64",
  amd64: "x64",
  aarch64: "arm64",
  arm64: "arm64",
};

export async function look(shell: Shell, signal: AbortSignal): Promise<Answer<Sight>> {
  const line = programLine(false, LOOK, []);
  const said = await collect(shell, line, { timeoutMs: PROGRAM_MS, signal });
  const end = endOf(said.answer, "looking at the machine", {
    cause: "unsuitable",
    timeoutMs: PROGRAM_MS,
    lastLine: lastLineOf(said),
    stale: false,
  });
  return end ?? parseSight(said.stdout);
}

/** Reads the lines of LOOK. */
export function parseSight(text: string): Answer<Sight> {
  const facts = new Map<string, string>();
  const tools = new Set<string>();
  for (const line of text.split("\n")) {
    const at = line.indexOf("=");
    if (at < 0) continue;
    const [key, value] = [line.slice(0, at), line.slice(at + 1).trim()];
    if (key === "tool") tools.add(value);
    else facts.set(key, value);
  }
  const kernel = facts.get("kernel") ?? "";
  if (kernel !== "Linux") {
    return refused("unsuitable", `the machine runs ${kernel || "nothing we know"}, not Linux`);
  }
  const arch = ARCHES[facts.get("arch") ?? ""];
  if (arch === undefined) {
    return refused("unsuitable", `its architecture ${facts.get("arch")} is not x86_64 or aarch64`);
  }
  const missing = ["setsid", "sha256sum"].filter((tool) => !tools.has(tool));
  if (missing.length > 0) {
    return refused("unsuitable", `the machine lacks ${missing.join(" and ")}`);
  }
  return good({
    arch,
    isRoot: facts.get("uid") === "0",
    home: facts.get("home") ?? "/",
    client: facts.get("client") ?? "",
    tools,
    noSudo: facts.has("sudo") ? null : (facts.get("nosudo") ?? "no answer"),
  });
}

/** Whether programs go through sudo, by the pool's `become`. */
export function decideSudo(job: Pick<Job, "become" | "user">, sight: Sight): Answer<boolean> {
  if (job.become === "never" || (job.become === "auto" && sight.isRoot)) return good(false);
  if (sight.noSudo === null) return good(true);
  const hint = "give the user passwordless sudo, log in as root, or set become: never";
  const what = `no sudo: ${job.user} is not root and sudo says "${sight.noSudo}"`;
  return refused("no_sudo", `${what} (${hint})`);
}

/** Without root (`become: never`) the marks are in the user's home. */
export function markDirectoryOf(job: Job, sight: Sight, sudo: boolean): string {
  if (sudo || sight.isRoot) return job.markDirectory;
  return `${sight.home.replace(/\/$/, "")}/.local/state/navarch-bootstrap`;
}

export type Claim = { fence: string; done: ReadonlySet<string> };

export async function claim(
  machine: Omit<Machine, "fence">,
  folder: string,
  job: Pick<Job, "epoch" | "attempt" | "resume">,
  signal: AbortSignal,
): Promise<Answer<Claim>> {
  const how = job.resume ? "resume" : "afresh";
  const args = [machine.directory, String(job.epoch), String(job.attempt), folder, how];
  const line = programLine(machine.sudo, CLAIM, args);
  const said = await collect(machine.shell, line, { timeoutMs: PROGRAM_MS, signal });
  const end = endOf(said.answer, "claiming the machine", {
    cause: "unsuitable",
    timeoutMs: PROGRAM_MS,
    lastLine: lastLineOf(said),
    stale: false,
  });
  if (end !== null) return end;
  const lines = said.stdout.split("\n");
  const newer = lines.find((one) => one.startsWith("stale "))?.split(" ");
  if (newer !== undefined) {
    const theirs = `epoch ${newer[1]}, attempt ${newer[2]}`;
    return stale(`the machine follows ${theirs}; ours is ${job.epoch}, attempt ${job.attempt}`);
  }
  const fence = lines.find((one) => one.startsWith("fence "))?.slice("fence ".length);
  if (fence === undefined) return failed("unsuitable", "claiming the machine gave no fence");
  const done = lines.filter((one) => one.startsWith("done ")).map((one) => one.slice(5));
  return good({ fence, done: new Set(done) });
}

/** The first address of the control plane that answers from the machine. */
export async function findAddress(
  shell: Shell,
  job: Job,
  sight: Sight,
  signal: AbortSignal,
): Promise<Answer<string | null>> {
  const { candidates, listen } = job.controlPlane;
  if (candidates.length === 0) return good(null);
  const pool = job.pool === null ? "" : `pool ${job.pool}: `;
  const urls = candidates.flatMap((candidate) => urlsOf(candidate, job.address, sight));
  const cannotTell =
    `${pool}cannot tell which address nodes should dial; server.address ${listen} ` +
    "is a listen address. Set server.external_address.";
  if (urls.length === 0) return refused("address", cannotTell);
  const args = urls.flatMap((url) => [`${formatBase(url)}/healthz`, bareHost(url), portOf(url)]);
  const timeoutMs = PROGRAM_MS + urls.length * 7_000;
  const line = programLine(false, ADDRESS, args);
  const said = await collect(shell, line, { timeoutMs, signal });
  const yes = /^ok (\d+)$/m.exec(said.stdout);
  if (yes !== null) return good(baseAt(urls, yes[1]));
  if (said.answer.kind !== "exited") {
    const options = { cause: "address", timeoutMs, lastLine: "", stale: false } as const;
    const end = endOf(said.answer, "trying our address from the machine", options);
    if (end !== null) return end;
  }
  const tried = [...said.stdout.matchAll(/^no (\d+) ?(.*)$/gm)].map(
    ([, index, why]) => `${baseAt(urls, index)} does not answer from the machine: ${why}`,
  );
  const explicit = candidates.some((candidate) => candidate.kind === "url");
  // An unreachable address may recover; a missing one does not.
  if (explicit) return failed("address", `${pool}${tried.join("; ")}`);
  return refused("address", `${cannotTell} (${tried.join("; ")})`);
}

/** Loopback and wildcard addresses. */
const OWN = /^(?:localhost|127\.|0\.0\.0\.0$|\[::1?\]$)/;

function urlsOf(candidate: Candidate, address: string, sight: Sight): URL[] {
  const bracketed = sight.client.includes(":") ? `[${sight.client}]` : sight.client;
  const text =
    candidate.kind === "url"
      ? candidate.url
      : `${candidate.scheme}://${bracketed}:${candidate.port}`;
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) return [];
  // A machine at a loopback address is this one: fake provider and tests.
  const here = /^(?:localhost$|127\.|::1$)/.test(address);
  return OWN.test(url.hostname) && !here ? [] : [url];
}

/** Without the slash at the end, so that a path can follow. */
function formatBase(url: URL): string {
  return `${url.origin}${url.pathname}`.replace(/\/$/, "");
}

function baseAt(urls: readonly URL[], index: string | undefined): string | null {
  const url = urls[Number(index) - 1];
  return url === undefined ? null : formatBase(url);
}

function bareHost(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, "");
}

function portOf(url: URL): string {
  return url.port !== "" ? url.port : url.protocol === "https:" ? "443" : "80";
}
