/**
 * The process of simulated agents: one for thousands of virtual Nodes. It follows the Nodes by a
 * watch, reports with each node's own credential, and ends when its setting changes, so that it is
 * started again with the new one. Boots outlive it; a Node's annotation counts them.
 *
 * Adapter: files, network, clock, signals.
 */
import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { openClient } from "../../reconciler/kubernetes/client.ts";
import { openTransport, REAL_CLOCK } from "../../reconciler/kubernetes/connect.ts";
import { type KubeApi, PATCH } from "../../reconciler/kubernetes/api.ts";
import { Reflector } from "../../reconciler/kubernetes/reflector.ts";
import { removeAgent, startTicksOf } from "../../reconciler/provider/kwok/agent-host.ts";
import {
  AGENT_FOLDER,
  AgentProcess,
  AgentSetting,
  GAVE_WAY,
  LOCK_FILE,
  parseNote,
  PROCESS_FILE,
  SETTING_FILE,
  TRUST_FILES,
} from "../../reconciler/provider/kwok/agent-setting.ts";
import { BOOT, type Boot, ownedBy } from "../../reconciler/provider/kwok/instance.ts";
import { writeWhole } from "../../reconciler/security/identity.ts";
import { tryLock } from "../../reconciler/server/lock.ts";
import { COMMIT, VERSION } from "../../schema/version.ts";
import type { Tls } from "../../agent/trust/trust.ts";
import { SimFleet } from "./fleet.ts";
import { wantedOf, type Wanted } from "./machine-of.ts";
import { Senders } from "./sender.ts";

/** Between two looks at the setting, and at Nodes whose credential was missing. */
const LOOK_MS = 2_000;
/** A folder without a Node is removed after this: its purchase may still be under way before. */
const ORPHAN_MS = 3_600_000;
const SWEEP_MS = 600_000;
/** Nodes of a cluster that is away so long are gone; a control plane that runs starts it again. */
const AWAY_MS = 600_000;
const CALL_MS = 30_000;
/** A last report of each agent takes no longer. */
const STOP_MS = 4_000;
/** Lines of all agents in a burst and a second: a control plane that is away tells each of them. */
const LINES = { burst: 50, perSecond: 2 };

export type AgentsOptions = {
  stateDir: string;
  env: Readonly<Record<string, string | undefined>>;
  /** Writes one line. */
  say: (line: string) => void;
};

/** Runs until a signal or a new setting; answers the exit status. */
export async function runAgents(given: AgentsOptions): Promise<number> {
  const options = { ...given, stateDir: resolve(given.stateDir) };
  const { say, stateDir } = options;
  const text = readText(join(stateDir, SETTING_FILE));
  const setting = parseNote(AgentSetting, text);
  if (setting === null) {
    const why = text === null ? "there is no" : "cannot be read:";
    say(`${why} ${join(stateDir, SETTING_FILE)}: start a control plane with a kwok provider first`);
    return 1;
  }
  const lock = await tryLock(join(stateDir, LOCK_FILE));
  if (lock === null) {
    say(`another process runs the agents of ${stateDir}`);
    return GAVE_WAY;
  }
  try {
    return await new Run(options, setting, inodeOf(stateDir)).run();
  } finally {
    const note = parseNote(AgentProcess, readText(join(stateDir, PROCESS_FILE)));
    if (note?.pid === process.pid) rmSync(join(stateDir, PROCESS_FILE), { force: true });
    lock.release();
  }
}

/** The lock's file: another one of that name is another process's. */
function inodeOf(stateDir: string): number | null {
  return statSync(join(stateDir, LOCK_FILE), { throwIfNoEntry: false })?.ino ?? null;
}

class Run {
  readonly #options: AgentsOptions;
  readonly #setting: AgentSetting;
  readonly #lockInode: number | null;
  readonly #ended = Promise.withResolvers<number>();
  #tls: Tls | null = null;
  #lines = { left: LINES.burst, atMono: 0, withheld: 0 };
  #noted = "";
  #awaySinceMono = REAL_CLOCK.monoMs();

  constructor(options: AgentsOptions, setting: AgentSetting, lockInode: number | null) {
    this.#options = options;
    this.#setting = setting;
    this.#lockInode = lockInode;
  }

  async run(): Promise<number> {
    const { env } = this.#options;
    const { context, fleet_id, kubeconfig, provider, server } = this.#setting;
    const opened = await openTransport({ enabled: true, kubeconfig, context }, env);
    if (opened.kind !== "ok") {
      this.#log(opened.kind === "failed" ? opened.message : "no cluster");
      return 1;
    }
    const ports = { clock: REAL_CLOCK, count: () => undefined, userAgent: "navarch-agents" };
    const api = openClient(opened.transport, ports);
    this.#readTrust();
    const { fleet, senders } = this.#openFleet(api, server);
    const nodes = new Reflector<Wanted>({
      ...{ api, clock: REAL_CLOCK, random: Math.random, path: "/api/v1/nodes" },
      query: { labelSelector: ownedBy(fleet_id, provider) },
      read: (json) => wantedOf(json, provider, fleet_id),
      changed: (before, after) => {
        fleet.take(before, after);
        // The Node is gone: its purchase is over.
        if (before !== null && after === null) removeAgent(this.#options.stateDir, before.folder);
      },
      log: (level, msg, fields) => {
        if (level !== "debug") this.#log(`${msg} ${JSON.stringify(fields ?? {})}`);
      },
    });
    this.#log(`agents of provider ${provider} report to ${server}`);
    this.#note(0);
    nodes.start();
    const cancels = [
      every(LOOK_MS, () => this.#look(fleet, nodes)),
      every(SWEEP_MS, () => this.#sweep(nodes)),
    ];
    const stop = (): void => this.#ended.resolve(0);
    process.once("SIGTERM", stop).once("SIGINT", stop);
    const code = await this.#ended.promise;
    for (const cancel of cancels) cancel();
    nodes.stop();
    await Promise.race([fleet.stop(), Bun.sleep(STOP_MS)]);
    senders.closeAll();
    api.close();
    return code;
  }

  #openFleet(api: KubeApi, server: string) {
    const { stateDir } = this.#options;
    const senders: Senders = new Senders({
      ...{ stateDir, server, random: Math.random, tls: () => this.#tls },
      folderOf: (machine) => fleet.wantedOf(machine)?.folder ?? null,
    });
    const fleet: SimFleet = new SimFleet({
      clock: REAL_CLOCK,
      random: Math.random,
      newStream: () => crypto.randomUUID(),
      openSender: (machine, clock) => senders.open(machine, clock),
      hasCredential: (folder) => senders.hasCredential(folder),
      adopt: (machine, credential) => senders.adopt(machine, credential),
      unplug: (machine) => senders.close(machine),
      reboots: (wanted) => void this.#countBoot(api, wanted),
      log: (line) => this.#log(line),
    });
    return { fleet, senders };
  }

  /** A machine that boots by itself says so on its Node; the watch brings it back here. */
  async #countBoot(api: KubeApi, { boot, name, resourceVersion, uid }: Wanted): Promise<void> {
    const next: Boot = { ...boot, count: boot.count + 1, atMs: REAL_CLOCK.wallMs() };
    const annotations = { [BOOT]: JSON.stringify(next) };
    const answer = await api.call({
      verb: "patch",
      path: `/api/v1/nodes/${encodeURIComponent(name)}`,
      contentType: PATCH.merge,
      body: { metadata: { uid, resourceVersion, annotations } },
      timeoutMs: CALL_MS,
      lane: "status",
    });
    // The GPU is back all the same; only its boot is not counted.
    if (answer.kind !== "ok") this.#log(`Node ${name}: cannot count a boot: ${answer.message}`);
  }

  #look(fleet: SimFleet, nodes: Reflector<Wanted>): void {
    const { stateDir } = this.#options;
    const text = readText(join(stateDir, SETTING_FILE));
    const note = parseNote(AgentProcess, readText(join(stateDir, PROCESS_FILE)));
    // The folder was removed, and with it the lock: another one there may have its own process.
    // A control plane may have written the setting again since.
    const isLocked = inodeOf(stateDir) === this.#lockInode;
    if (text === null || note?.pid !== process.pid || !isLocked) {
      this.#log("the folder is not this process's any more: ending");
      return this.#ended.resolve(0);
    }
    const setting = parseNote(AgentSetting, text);
    if (setting !== null && JSON.stringify(setting) !== JSON.stringify(this.#setting)) {
      this.#log("the setting has changed: starting again");
      return this.#ended.resolve(0);
    }
    this.#awaySinceMono = nodes.problem === null ? REAL_CLOCK.monoMs() : this.#awaySinceMono;
    if (REAL_CLOCK.monoMs() - this.#awaySinceMono > AWAY_MS) {
      this.#log("the cluster has been away for ten minutes: ending");
      return this.#ended.resolve(0);
    }
    this.#readTrust();
    if (nodes.synced()) fleet.retry(nodes.values());
    this.#note(fleet.running());
  }

  /** For control planes and for people; again whenever the number changed. */
  #note(agents: number): void {
    const { pid } = process;
    const note: AgentProcess = {
      ...{ pid, start_ticks: startTicksOf(pid) ?? "", version: VERSION, commit: COMMIT, agents },
    };
    const text = `${JSON.stringify(note)}\n`;
    if (text === this.#noted) return;
    this.#noted = text;
    writeWhole(join(this.#options.stateDir, PROCESS_FILE), text);
  }

  #readTrust(): void {
    const { trust } = this.#setting;
    const of = (part: keyof typeof TRUST_FILES): string | null =>
      trust[part] ? readText(join(this.#options.stateDir, TRUST_FILES[part])) : null;
    const [ca, cert, key] = [of("ca"), of("cert"), of("key")];
    const tls = {
      ...(ca === null ? {} : { ca }),
      ...(cert === null ? {} : { cert }),
      ...(key === null ? {} : { key }),
    };
    this.#tls = Object.keys(tls).length === 0 ? null : tls;
  }

  /** Folders whose Node went while no process was here. */
  #sweep(nodes: Reflector<Wanted>): void {
    if (!nodes.synced() || nodes.problem !== null) return;
    const { stateDir } = this.#options;
    const used = new Set([...nodes.values()].map(({ folder }) => folder));
    for (const folder of readdirSync(join(stateDir, AGENT_FOLDER))) {
      if (used.has(folder)) continue;
      const found = statSync(join(stateDir, AGENT_FOLDER, folder), { throwIfNoEntry: false });
      const ageMs = found === undefined ? 0 : REAL_CLOCK.wallMs() - found.mtimeMs;
      if (ageMs > ORPHAN_MS) removeAgent(stateDir, folder);
    }
  }

  #log(line: string): void {
    const mono = REAL_CLOCK.monoMs();
    const lines = this.#lines;
    const since = (mono - lines.atMono) / 1_000;
    lines.left = Math.min(LINES.burst, lines.left + since * LINES.perSecond);
    lines.atMono = mono;
    if (lines.left < 1) {
      lines.withheld += 1;
      return;
    }
    lines.left -= 1;
    const more = lines.withheld === 0 ? "" : ` (${lines.withheld} lines withheld before)`;
    lines.withheld = 0;
    this.#options.say(`${new Date(REAL_CLOCK.wallMs()).toISOString()} ${line}${more}`);
  }
}

function every(ms: number, work: () => void): () => void {
  const timer = setInterval(work, ms);
  return () => clearInterval(timer);
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
