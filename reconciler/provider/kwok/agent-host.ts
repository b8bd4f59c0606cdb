/**
 * Runs the process of simulated agents beside the control plane: in its own session, so that it
 * outlives this process like machines in a cloud, and never twice. Credentials lie in the
 * provider's folder, readable by this user only.
 *
 * Adapter: files, processes, `/proc`.
 */
import { spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { COMMIT, VERSION } from "../../../schema/version.ts";
import type { Clock } from "../../core/clock.ts";
import { backoffMs } from "../../core/turn/backoff.ts";
import { writeWhole } from "../../security/identity.ts";
import type { PeerTls } from "../../security/tls/open.ts";
import { isAlive, statOf } from "../fake/process.ts";
import {
  AGENT_FOLDER,
  AgentProcess,
  type AgentSetting,
  GAVE_WAY,
  LOG_FILE,
  parseNote,
  PROCESS_FILE,
  SETTING_FILE,
  TOKEN_FILE,
  TRUST_FILES,
} from "./agent-setting.ts";
import type { AgentHost } from "./kwok.ts";

/** Between two looks at the process; until the control plane listens, sooner. */
const LOOK_MS = 2_000;
const NOT_YET_MS = 100;
/** A process that ends sooner failed to start. */
const EARLY_MS = 10_000;
/** Pause after a failed start, doubling. */
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 60_000;
/** The end of the log that a failure quotes. Characters. */
const LAST_WORDS_MAX = 200;

export type AgentHostOptions = {
  name: string;
  stateDir: string;
  clock: Clock;
  /** Without the URL of the control plane, which is known once it listens. */
  setting: Omit<AgentSetting, "server" | "trust">;
  serverUrl: () => string;
  tls: () => PeerTls | null;
  /** False: a person runs them. */
  runs: boolean;
  env: Readonly<Record<string, string>>;
  problem: (message: string) => void;
};

/** This program, or its source in this tree. */
function ownCommand(): string[] {
  const source = fileURLToPath(new URL("../../../cli/main.ts", import.meta.url));
  const isSource = existsSync(source) && basename(process.execPath).startsWith("bun");
  return isSource ? [process.execPath, "run", source] : [process.execPath];
}

export function openAgentHost(options: AgentHostOptions): AgentHost {
  const host = new Host({ ...options, stateDir: resolve(options.stateDir) });
  host.look();
  return {
    prepare: (folder, credential) => host.prepare(folder, credential),
    trouble: () => host.trouble,
    close: () => host.close(),
  };
}

class Host {
  trouble: string | null = null;
  readonly #options: AgentHostOptions;
  #cancel: () => void = () => undefined;
  #isClosed = false;
  #failures = 0;
  /** Monotonic: when this process may start another one. */
  #restMono = 0;
  #written = "";

  constructor(options: AgentHostOptions) {
    this.#options = options;
  }

  prepare(folder: string, credential: string): void {
    const path = this.#path(AGENT_FOLDER, folder);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    // Without a sync, which costs more than the purchase: after a power cut the cluster of a
    // rehearsal is gone as well.
    const partial = join(path, `${TOKEN_FILE}.new`);
    rmSync(partial, { force: true });
    writeFileSync(partial, credential, { mode: 0o600, flag: "wx" });
    renameSync(partial, join(path, TOKEN_FILE));
  }

  /** Leaves the agents running. */
  close(): void {
    this.#isClosed = true;
    this.#cancel();
  }

  look(): void {
    this.#cancel();
    if (this.#isClosed) return;
    const isReady = this.#options.serverUrl() !== "";
    try {
      if (isReady) this.#keep();
    } catch (cause) {
      this.#tell(`files: ${cause instanceof Error ? cause.message : String(cause)}`);
    }
    this.#cancel = this.#options.clock.after(isReady ? LOOK_MS : NOT_YET_MS, () => this.look());
  }

  #path(...names: string[]): string {
    return join(this.#options.stateDir, ...names);
  }

  #keep(): void {
    const { clock, runs } = this.#options;
    mkdirSync(this.#path(AGENT_FOLDER), { recursive: true, mode: 0o700 });
    this.#write();
    if (!runs) return;
    const running = this.#running();
    if (running !== null) {
      this.trouble = null;
      const isOurs = running.version === VERSION && running.commit === COMMIT;
      // Agents of another release: they start again as this one, with the same boots.
      if (!isOurs) this.#end(running.pid);
      return;
    }
    if (clock.monoMs() < this.#restMono) return;
    this.#start();
  }

  /** The setting and the trust files, if they changed. */
  #write(): void {
    const { serverUrl, setting, tls } = this.#options;
    const peer = tls();
    const files = Object.entries(TRUST_FILES).map(([part, name]) => {
      return { name, pem: peer?.[part as keyof typeof TRUST_FILES] ?? null };
    });
    const [ca, cert, key] = files.map(({ pem }) => pem !== null);
    const trust = { ca: ca === true, cert: cert === true, key: key === true };
    const own: AgentSetting = { server: serverUrl(), ...setting, trust };
    const all = JSON.stringify([own, files]);
    if (all === this.#written && existsSync(this.#path(SETTING_FILE))) return;
    for (const { name, pem } of files) if (pem !== null) writeWhole(this.#path(name), pem);
    writeWhole(this.#path(SETTING_FILE), `${JSON.stringify(own)}\n`);
    this.#written = all;
  }

  /** The process at work, whichever control plane started it. */
  #running(): AgentProcess | null {
    const note = parseNote(AgentProcess, readText(this.#path(PROCESS_FILE)));
    if (note === null) return null;
    return isAlive({ pid: note.pid, startTicks: note.start_ticks }) ? note : null;
  }

  #start(): void {
    const { clock, env, stateDir } = this.#options;
    const log = openSync(this.#path(LOG_FILE), "a", 0o600);
    const startedMono = clock.monoMs();
    // The next look comes before a process has written its file.
    this.#restMono = startedMono + EARLY_MS;
    try {
      const [program = "", ...first] = ownCommand();
      const words = [...first, "simulate", "agents", "--state-dir", stateDir];
      const child = spawn(program, words, {
        cwd: stateDir,
        detached: true,
        stdio: ["ignore", log, log],
        env,
      });
      const ended = (why: string, isClean = false): void =>
        this.#ended({ why, isClean, lastedMs: clock.monoMs() - startedMono });
      child.on("error", (cause) => ended(cause.message));
      child.on("exit", (code, signal) => {
        // Another process is at work.
        if (code === GAVE_WAY) return;
        ended(signal ?? `exit ${code ?? "unknown"}`, code === 0);
      });
      child.unref();
    } finally {
      closeSync(log);
    }
  }

  #ended({ why, isClean, lastedMs }: { why: string; isClean: boolean; lastedMs: number }): void {
    const { clock } = this.#options;
    if (this.#isClosed) return;
    this.#failures = lastedMs < EARLY_MS ? this.#failures + 1 : 0;
    const isFailure = this.#failures > 0 && !isClean;
    const restMs = backoffMs(this.#failures + 1, RETRY_FIRST_MS, RETRY_MAX_MS);
    this.#restMono = clock.monoMs() + (isFailure ? restMs : 0);
    if (isFailure) this.#tell(`the process ended (${why}): ${this.#lastWords()}`);
    this.look();
  }

  #lastWords(): string {
    const lines = (readText(this.#path(LOG_FILE)) ?? "").trimEnd().split("\n");
    const last = (lines.at(-1) ?? "").slice(0, LAST_WORDS_MAX);
    return `${last === "" ? "it wrote nothing" : last}; its log is ${this.#path(LOG_FILE)}`;
  }

  #tell(why: string): void {
    const message = `simulated agents of ${this.#options.name} do not run: ${why}`;
    if (message !== this.trouble) this.#options.problem(message);
    this.trouble = message;
  }

  #end(pid: number): void {
    try {
      process.kill(pid, "SIGTERM");
    } catch {
      // It has ended.
    }
  }
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

/** Removes the folder of an agent whose Node is gone. */
export function removeAgent(stateDir: string, folder: string): void {
  rmSync(join(stateDir, AGENT_FOLDER, folder), { recursive: true, force: true });
}

/** The start time of a process, by which a reused pid is told apart; `null`: there is none. */
export const startTicksOf = (pid: number): string | null => statOf(pid)?.startTicks ?? null;
