/**
 * Reloads the configuration: on SIGHUP, when its files have changed, and when a person asks. The
 * files are read and checked as a whole; whatever is wrong with them leaves the running
 * configuration in force and is reported until it is fixed.
 *
 * Files are polled: a ConfigMap is a link to a folder that is replaced, an editor renames, and a
 * network file system reports nothing.
 *
 * Adapter: reads files.
 */
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { LIMIT } from "../../schema/limit.ts";
import { diffConfigs } from "../config/diff.ts";
import { hashConfig } from "../config/hash.ts";
import { readDisk } from "../config/open.ts";
import { keepFixed } from "../config/restart.ts";
import { hideSecrets } from "../config/secret.ts";
import type { Clock, Log } from "../core/clock.ts";
import { type LoadAnswer, type Loaded, policyId } from "../core/reload.ts";
import type { Reload, Reloader } from "../core/reload.ts";
import type { Store } from "../core/store.ts";
import { pause } from "../core/turn/time-limit.ts";
import { filesOf } from "../provider/fingerprint.ts";
import { serial } from "../store/serial.ts";
import type { Adopter } from "./adopt.ts";
import { UsageError } from "./start-failure.ts";

/** A file must be the same in two looks: an editor may be writing it. */
const LOOK_MS = 2_000;
/** Content is read again although size and time are the same; what was refused is tried again. */
const FULL_MS = 30_000;
/** Files that change while they are read are read again. */
const READS_MAX = 10;
const READ_PAUSE_MS = 100;
const PROBLEMS_LOGGED_MAX = 5;
/**
 * The permission of the start waits: files reach replicas a minute apart, so a new leader's may be
 * older than those that its predecessor had. A signal or a person's order does not wait.
 */
const PERMIT_MS = 120_000;

export type ReloadPorts = {
  clock: Clock;
  log: Log;
  /** `--config`. */
  paths: readonly string[];
  /** What the process started with. */
  loaded: Loaded;
  load(): Promise<LoadAnswer>;
  adopter(): Adopter;
  /** Another configuration is in force, which the next role begins with. */
  applied(loaded: Loaded): void;
  /** Called after each reload and each look. */
  seen(reload: Reload | null, isStale: boolean): void;
  /** `--allow-pool-removal` at the start. */
  removesPools: boolean;
};

/** One digest of all files. An unreadable file counts as one fixed content; pipes are not read. */
export async function digestOf(paths: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const path of paths) {
    const isPlain = await stat(path).then(
      (info) => info.isFile(),
      () => false,
    );
    const answer = isPlain ? await readDisk(path, LIMIT.configBytesMax + 1) : null;
    if (answer?.ok === true) hash.update(`${answer.bytes.length}:`).update(answer.bytes);
    else hash.update("-");
  }
  return hash.digest("hex");
}

/** Changes with the files as far as their folder tells. */
async function signatureOf(paths: readonly string[]): Promise<string> {
  const infos = await Promise.all(paths.map((path) => stat(path).catch(() => null)));
  return infos
    .map((info) => (info === null ? "-" : `${info.dev}/${info.ino}/${info.mtimeMs}/${info.size}`))
    .join(" ");
}

/** The missing file of a policy other than the one that decided until now. */
async function lostPolicy(before: string, next: Loaded): Promise<string | null> {
  const path = next.config.server.healthPolicyPath;
  if (path === null || before === policyId(next.policy.policy)) return null;
  const isThere = await stat(path).then(
    () => true,
    () => false,
  );
  return isThere ? null : path;
}

/** A start without its policy file runs on the built-in one, unless another one has decided. */
export async function refuseLostPolicy(store: Pick<Store, "fact">, next: Loaded): Promise<void> {
  const last = await store.fact("config");
  const path = last?.kind === "config" ? await lostPolicy(last.policy, next) : null;
  if (path === null) return;
  throw new UsageError(
    `server.health_policy_path: health policy ${path} is missing, and the fleet was judged by ` +
      "another one than the built-in policy: restore the file, or take the key out of the " +
      "configuration",
  );
}

export class Reloads implements Reloader {
  readonly #ports: ReloadPorts;
  readonly #alone = serial();
  /** Requests that have not begun, by permission. */
  readonly #waiting = new Map<boolean, Promise<Reload>>();
  #last: Reload | null = null;
  #loadedAt: number;
  #applied: Loaded;
  /** Digest of the files as last judged. */
  #judged = "";
  /** Another digest, seen once. */
  #candidate: string | null = null;
  #signature = "";
  #fullMono = 0;
  /** Since when this role has had these files; whether they were loaded with the permission. */
  #steady = { role: null as Adopter | null, digest: "", sinceMono: 0, permitted: false };
  #stopped = false;
  #cancel = (): void => undefined;

  constructor(ports: ReloadPorts) {
    this.#ports = ports;
    this.#applied = ports.loaded;
    this.#loadedAt = ports.clock.wallMs();
  }

  /** The last reload; `null` = none since the start. */
  last(): Reload | null {
    return this.#last;
  }

  loadedAt(): number {
    return this.#loadedAt;
  }

  loaded(): Loaded {
    return this.#applied;
  }

  files(): readonly string[] {
    return this.#ports.paths;
  }

  /** Everything whose content decides: configuration, policy, and files of providers. */
  paths(): string[] {
    const { config } = this.#ports.adopter().loaded();
    const policy = config.server.healthPolicyPath;
    const files = config.providers.flatMap(filesOf);
    return [...this.#ports.paths, ...(policy === null ? [] : [policy]), ...files];
  }

  /** The files as they are now, checked as for a start. */
  async examine(): Promise<LoadAnswer> {
    return (await this.#read()).answer;
  }

  /** Requests that wait share one run; one that comes during a run gets the next. */
  reload(by: string, removesPools = this.#ports.removesPools): Promise<Reload> {
    const waiting = this.#waiting.get(removesPools);
    if (waiting !== undefined) return waiting;
    const run = this.#alone(() => {
      this.#waiting.delete(removesPools);
      return this.#run(by, removesPools);
    });
    this.#waiting.set(removesPools, run);
    return run;
  }

  /** Never rejects. */
  async #run(by: string, removesPools: boolean): Promise<Reload> {
    const about = { at: this.#ports.clock.wallMs(), by };
    const none = { restart: [], problems: [], warnings: [], changed: 0 };
    try {
      return this.#note(await this.#apply({ ...about, ...none, outcome: "applied" }, removesPools));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return this.#note({ ...about, ...none, outcome: "failed", problems: [why] });
    }
  }

  async #apply(begun: Reload, removesPools: boolean): Promise<Reload> {
    const { adopter } = this.#ports;
    const pipe = await this.#pipe();
    if (pipe !== null) {
      const problems = [`${pipe} is not a file, and can be read only once: restart to change it`];
      return { ...begun, outcome: "failed", problems };
    }
    const { digest, answer } = await this.#read();
    this.#judged = digest;
    this.#candidate = null;
    if (!answer.ok) return { ...begun, outcome: "invalid", problems: answer.lines };
    const role = adopter();
    const running = role.loaded();
    const lost = await lostPolicy(policyId(running.policy.policy), answer.loaded);
    if (lost !== null) {
      const problem = `health policy ${lost} is missing: the running one stays`;
      return { ...begun, outcome: "invalid", problems: [problem] };
    }
    const { config, kept } = keepFixed(running.config, answer.loaded.config);
    const isSame =
      hashConfig(running.config) === hashConfig(config) &&
      running.policy.policy.hash === answer.loaded.policy.policy.hash;
    const next = isSame ? running : { ...answer.loaded, config };
    const reload = { ...begun, restart: kept, warnings: answer.loaded.warnings };
    const problems = await role.adopt(next, { by: begun.by, removesPools });
    if (problems.length > 0) return { ...reload, outcome: "refused", problems };
    this.#applied = next;
    this.#ports.applied(next);
    if (isSame) return { ...reload, outcome: "unchanged" };
    this.#loadedAt = begun.at;
    return { ...reload, changed: diffConfigs(running.config, config).length };
  }

  /** The first of `--config` that is there and no regular file, such as a pipe. */
  async #pipe(): Promise<string | null> {
    for (const path of this.#ports.paths) {
      const info = await stat(path).catch(() => null);
      if (info !== null && !info.isFile() && !info.isDirectory()) return path;
    }
    return null;
  }

  /** Reads until the files are the same before and after. */
  async #read(): Promise<{ digest: string; answer: LoadAnswer }> {
    const { load, clock } = this.#ports;
    let digest = await digestOf(this.paths());
    for (let reads = 1; ; reads += 1) {
      const answer = await load();
      const after = await digestOf(this.paths());
      if (after === digest || reads === READS_MAX) return { digest: after, answer };
      digest = after;
      await pause(clock, READ_PAUSE_MS);
    }
  }

  #note(given: Reload): Reload {
    const { log } = this.#ports;
    // A problem may quote a value that is a secret in the wrong place.
    const reload = { ...given, problems: given.problems.map(hideSecrets) };
    const { outcome, by, problems, restart, changed } = reload;
    const isNew = JSON.stringify(problems) !== JSON.stringify(this.#last?.problems ?? []);
    const hash = hashConfig(this.#applied.config);
    const first = problems.slice(0, PROBLEMS_LOGGED_MAX);
    const files = this.#ports.paths.join(", ");
    if (outcome === "applied") log("info", "configuration reloaded", { by, hash, changed });
    else if (outcome === "unchanged") {
      log(isNew ? "info" : "debug", "the configuration on disk is the running one", { by, hash });
    } else if (isNew) {
      const kept = "the configuration on disk is not in force, the running one stays";
      log("error", kept, { files, outcome, problems: first, hash });
    }
    const isNewRestart = restart.join() !== (this.#last?.restart ?? []).join();
    if (restart.length > 0 && isNewRestart) {
      log("warn", "changed keys take a restart", { files, keys: restart });
    }
    this.#last = reload;
    this.#ports.seen(reload, this.isStale());
    return reload;
  }

  #isSettled(): boolean {
    const outcome = this.#last?.outcome ?? "applied";
    return outcome === "applied" || outcome === "unchanged";
  }

  isStale(): boolean {
    const waits = (this.#last?.restart ?? []).length > 0 || this.#candidate !== null;
    return waits || !this.#isSettled();
  }

  /** Looks at the files until `stop`. */
  async start(): Promise<void> {
    if (this.#ports.paths.length === 0) return;
    // Otherwise the first look compares: they may have changed since they were loaded.
    if ((await this.#pipe()) !== null) this.#judged = await digestOf(this.paths());
    this.#fullMono = this.#ports.clock.monoMs();
    this.#next();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  /** Whether the permission of the start counts for these files now. */
  #permits(role: Adopter, digest: string, mono: number): boolean {
    if (this.#steady.role !== role || this.#steady.digest !== digest) {
      this.#steady = { role, digest, sinceMono: mono, permitted: false };
    }
    return this.#ports.removesPools && mono - this.#steady.sinceMono >= PERMIT_MS;
  }

  #next(): void {
    if (this.#stopped) return;
    this.#cancel = this.#ports.clock.after(LOOK_MS, () => {
      void this.#look()
        .catch((error: unknown) => {
          this.#ports.log("warn", "cannot check the configuration", { error: String(error) });
        })
        .finally(() => this.#next());
    });
  }

  async #look(): Promise<void> {
    const { clock, adopter, seen } = this.#ports;
    const role = adopter();
    if (role.isUnsettled()) {
      await this.#alone(() => role.adopt(role.loaded(), { by: "navarch", removesPools: false }));
    }
    const mono = clock.monoMs();
    const isFull = mono - this.#fullMono >= FULL_MS;
    const signature = await signatureOf(this.paths());
    const isQuiet = signature === this.#signature && this.#candidate === null;
    this.#signature = signature;
    // A role that was opened during a reload runs with the former configuration.
    const isBehind = role.loaded() !== this.#applied;
    if (isQuiet && !isFull && !isBehind) return;
    if (isFull) this.#fullMono = mono;
    const digest = await digestOf(this.paths());
    const permits = this.#permits(role, digest, mono);
    if (digest !== this.#judged && digest !== this.#candidate) this.#candidate = digest;
    else if (digest !== this.#judged) await this.reload("a change of the files", permits);
    else {
      this.#candidate = null;
      const isDue = isBehind || (permits && !this.#steady.permitted);
      if (isDue || (isFull && !this.#isSettled())) {
        await this.reload("the check of the files", permits);
      }
      this.#steady.permitted = permits;
    }
    seen(null, this.isStale());
  }
}
