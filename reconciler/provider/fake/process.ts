/**
 * Runs one real agent per running instance, in its own session, so that it outlives the control
 * plane like a machine in a cloud. A process is identified by its pid, its start time and the
 * instance in its environment, so that a reused pid is never signalled.
 *
 * Adapter: processes, `/proc`, the instance's folder.
 */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import {
  appendFileSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { InstanceId } from "../../../schema/id.ts";
import type { PeerTls } from "../../security/tls/open.ts";
import type { Instance } from "../../core/provider.ts";
import { writeWhole } from "../../security/identity.ts";
import type { AgentProcess, Held } from "./world.ts";

/**
 * The child writes its pid before it becomes the agent and exits if the file exists: if the control
 * plane dies right after the start, its successor finds the agent and starts no second one. `set
 * -C` creates the file with O_EXCL (POSIX `set`, noclobber).
 */
const LAUNCH = 'set -C; { echo "$$" > "$0"; } 2>/dev/null || exit 73; exec "$@"';
export const GAVE_WAY = 73;

/** Names the instance to its agent, and identifies the process later. */
const INSTANCE_ENV = "NAVARCH_INSTANCE_ID";

const SYSTEM_ENV = ["PATH", "HOME", "LANG", "LC_ALL", "TZ"];
/** Without a CA of the fleet, agents get the trust settings of this process. */
const TRUST_ENV = [
  "NAVARCH_CA_FILE",
  "NAVARCH_CLIENT_CERT_FILE",
  "NAVARCH_CLIENT_KEY_FILE",
  "NODE_EXTRA_CA_CERTS",
];

/** The end of an agent's log that is quoted when it fails to start. Characters. */
const LAST_WORDS_MAX = 200;

/** Between SIGTERM and SIGKILL. */
const KILL_GRACE_MS = 2_000;

export type AgentRunnerOptions = {
  stateDir: string;
  /** Program and first arguments of the agent. */
  command: readonly string[];
  /** Empty until the control plane listens; no agent starts before. */
  serverUrl: () => string;
  /** CA and client certificate of the agents; `null`: the system's. */
  tls: () => PeerTls | null;
  /** See `FakeProviderOptions`. */
  key: string | null;
  providerName: string;
  gpuCount: number;
  gpuType: string | null;
  after(ms: number, work: () => void): void;
};

/** The folder of one instance: kernel log, token, spool, log of its agent. */
export function instanceFolder(stateDir: string, id: InstanceId): string {
  return join(stateDir, "instance", id);
}

/**
 * State letter and start time (fields 3 and 22 of `/proc/PID/stat`), or `null` without a process.
 */
export function statOf(pid: number): { state: string; startTicks: string } | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return null;
  }
  // Field 2 is a name in brackets with any content; the last bracket ends it (proc_pid_stat(5)).
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const state = fields[0];
  const startTicks = fields[19];
  return state === undefined || startTicks === undefined ? null : { state, startTicks };
}

function runsFor(pid: number, id: InstanceId): boolean {
  try {
    const environ = readFileSync(`/proc/${pid}/environ`, "utf8");
    return environ.split("\0").includes(`${INSTANCE_ENV}=${id}`);
  } catch {
    return false;
  }
}

/** Whether that process exists; a zombie does not count. */
export function isAlive(process: Pick<AgentProcess, "pid" | "startTicks">): boolean {
  const stat = statOf(process.pid);
  return (
    stat !== null &&
    stat.startTicks === process.startTicks &&
    stat.state !== "Z" &&
    stat.state !== "X"
  );
}

/** The default agent: the binary beside the running one, else the source in this tree. */
export function defaultAgentCommand(): string[] {
  const beside = join(dirname(process.execPath), "navarch-node");
  if (existsSync(beside)) return [beside];
  const source = fileURLToPath(new URL("../../../agent/main.ts", import.meta.url));
  if (existsSync(source) && basename(process.execPath).startsWith("bun")) {
    return [process.execPath, "run", source];
  }
  return [beside];
}

export type StartAnswer =
  | { kind: "started"; process: AgentProcess }
  | { kind: "not_yet" }
  | { kind: "failed"; message: string };

export class AgentRunner {
  readonly #options: AgentRunnerOptions;

  constructor(options: AgentRunnerOptions) {
    const [program = "", ...rest] = options.command;
    // Agents run in their own folders, so paths must be absolute.
    const stateDir = resolve(options.stateDir);
    const command = [program.includes("/") ? resolve(program) : program, ...rest];
    this.#options = { ...options, stateDir, command };
  }

  #file(id: InstanceId, name: string): string {
    return join(instanceFolder(this.#options.stateDir, id), name);
  }

  /** Creates the instance's folder with its agent's credential, readable by this user only. */
  prepare(id: InstanceId, credential: string | null): void {
    mkdirSync(instanceFolder(this.#options.stateDir, id), { recursive: true, mode: 0o700 });
    if (credential !== null) {
      writeFileSync(this.#file(id, "token"), credential, { mode: 0o600, flush: true });
    }
  }

  #bootId(id: InstanceId): string {
    const file = this.#file(id, "boot-id");
    // Restarting an agent is no reboot: its kernel log continues.
    if (existsSync(file)) return readFileSync(file, "utf8").trim();
    const bootId = randomUUID();
    writeFileSync(file, bootId);
    return bootId;
  }

  /** The pid that the child wrote: `null` without a file, NaN if it is cut short. */
  #pid(id: InstanceId): number | null {
    try {
      return Number.parseInt(readFileSync(this.#file(id, "pid"), "utf8"), 10);
    } catch {
      return null;
    }
  }

  /** The instance's running agent, whichever process started it. */
  find(id: InstanceId, recorded: AgentProcess | null): AgentProcess | null {
    if (recorded !== null && isAlive(recorded)) return recorded;
    const pid = this.#pid(id);
    if (pid === null || !(pid > 1)) return null;
    const stat = statOf(pid);
    if (stat === null || !runsFor(pid, id)) return null;
    const found = { pid, startTicks: stat.startTicks, bootId: this.#bootId(id) };
    return isAlive(found) ? found : null;
  }

  /**
   * Writes the agent's CA and client certificate, which it reads again for each call, and returns
   * its flags for them.
   */
  trust(id: InstanceId): [string, string | null][] {
    const tls = this.#options.tls();
    const files = [
      ["--ca-file", "ca.pem", tls?.ca],
      ["--client-cert-file", "client.pem", tls?.cert],
      ["--client-key-file", "client.key", tls?.key],
    ] as const;
    return files.map(([flag, name, pem]) => {
      const path = this.#file(id, name);
      if (pem === undefined) return [flag, null];
      writeWhole(path, pem);
      return [flag, path];
    });
  }

  #arguments(instance: Instance, nodeId: string, bootId: string): string[] {
    const { id, tags } = instance;
    const { serverUrl, providerName, gpuCount } = this.#options;
    const pairs: [string, string | null][] = [
      ["--server", serverUrl()],
      ["--node-id", nodeId],
      ["--fake-gpus", String(gpuCount)],
      ["--kernel-log", this.#file(id, "kmsg")],
      ["--spool", this.#file(id, "spool")],
      ["--auth-token-file", existsSync(this.#file(id, "token")) ? this.#file(id, "token") : null],
      ["--boot-id", bootId],
      ["--sim-faults", this.#file(id, "gpu-faults.json")],
      ["--provider", providerName],
      ["--pool", tags["navarch-pool"] ?? null],
      ["--region", instance.region],
      ["--zone", instance.zone],
      ["--instance-type", instance.instanceType],
      ...this.trust(id),
    ];
    return pairs.flatMap(([flag, value]) => (value === null ? [] : [flag, value]));
  }

  /**
   * The agent's environment, without secrets, and without `BUN_OPTIONS` and `BUN_BE_BUN`, which
   * change what a compiled agent runs.
   */
  #environment(id: InstanceId): Record<string, string> {
    const env: Record<string, string> = { [INSTANCE_ENV]: id };
    for (const name of SYSTEM_ENV) {
      const value = process.env[name];
      if (value !== undefined) env[name] = value;
    }
    for (const name of ["TMPDIR", ...(this.#options.tls() === null ? TRUST_ENV : [])]) {
      const path = process.env[name];
      if (path !== undefined) env[name] = path === "" ? path : resolve(path);
    }
    if (this.#options.key !== null) env["NAVARCH_KEY_FINGERPRINT"] = this.#options.key;
    if (this.#options.gpuType !== null) env.NAVARCH_GPU_TYPE = this.#options.gpuType;
    return env;
  }

  /**
   * Starts the instance's agent; the caller has made sure that none runs. `ended` is called if it
   * ends during the life of this process.
   */
  start(held: Held, ended: (pid: number, reason: string) => void): StartAnswer {
    const { instance, nodeId } = held;
    if (this.#options.serverUrl() === "") return { kind: "not_yet" };
    const { id } = instance;
    this.prepare(id, null);
    // Removes only an old pid: one written from here on belongs to the child of a control plane
    // that died after starting it, and then the new child must exit.
    if (this.#pid(id) !== null) rmSync(this.#file(id, "pid"), { force: true });
    appendFileSync(this.#file(id, "kmsg"), "");
    if (!existsSync(this.#file(id, "gpu-faults.json"))) {
      writeFileSync(this.#file(id, "gpu-faults.json"), "{}\n");
    }
    const bootId = this.#bootId(id);
    const log = openSync(this.#file(id, "log"), "a", 0o600);
    try {
      const words = [...this.#options.command, ...this.#arguments(instance, nodeId, bootId)];
      const child = spawn("/bin/sh", ["-c", LAUNCH, this.#file(id, "pid"), ...words], {
        cwd: instanceFolder(this.#options.stateDir, id),
        detached: true,
        stdio: ["ignore", log, log],
        env: this.#environment(id),
      });
      const { pid } = child;
      if (pid === undefined) return { kind: "failed", message: "the shell did not start" };
      child.on("error", () => {});
      child.on("exit", (code, signal) => ended(pid, signal ?? `exit ${code ?? "unknown"}`));
      child.unref();
      const stat = statOf(pid);
      if (stat === null) return { kind: "failed", message: "the agent ended at once" };
      return { kind: "started", process: { pid, startTicks: stat.startTicks, bootId } };
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return { kind: "failed", message };
    } finally {
      closeSync(log);
    }
  }

  /** The last line that the instance's agent wrote, cut short; empty without one. */
  lastWords(id: InstanceId): string {
    try {
      const lines = readFileSync(this.#file(id, "log"), "utf8").trimEnd().split("\n");
      return (lines.at(-1) ?? "").slice(0, LAST_WORDS_MAX);
    } catch {
      return "";
    }
  }

  /** Sends SIGTERM, and SIGKILL after the grace period; never to another process. */
  stop(agent: AgentProcess): void {
    if (!signal(agent, "SIGTERM")) return;
    this.#options.after(KILL_GRACE_MS, () => void signal(agent, "SIGKILL"));
  }

  /** Ends the agent now. */
  kill(agent: AgentProcess): void {
    signal(agent, "SIGKILL");
  }

  /** A reboot: another boot id, an empty kernel log and no GPU faults. */
  forgetBoot(id: InstanceId): void {
    for (const name of ["boot-id", "kmsg", "gpu-faults.json"]) {
      rmSync(this.#file(id, name), { force: true });
    }
  }

  /** Removes the folder of an instance that is no longer listed. */
  remove(id: InstanceId): void {
    rmSync(instanceFolder(this.#options.stateDir, id), { recursive: true, force: true });
  }
}

/** False if that process does not exist any more. */
function signal(agent: AgentProcess, name: "SIGTERM" | "SIGKILL"): boolean {
  if (!isAlive(agent)) return false;
  try {
    process.kill(agent.pid, name);
    return true;
  } catch {
    return false;
  }
}
