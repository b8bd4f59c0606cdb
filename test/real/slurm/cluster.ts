/**
 * A real Slurm for one test, thrown away afterwards: munged, slurmctld, one slurmd for each node,
 * and as wanted slurmdbd with MariaDB and slurmrestd; with ports, keys and sockets of its own, so
 * that several run side by side. GPUs are device nodes without a device.
 *
 * Adapter: processes, files, network, clock.
 */
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { HOST_ENV, runCommand, type Ran } from "../../fixture/machine/command.ts";
import { until } from "../../fixture/plane/plane.ts";
import { freePorts } from "../kubernetes/part.ts";
import {
  formatCgroupConf,
  formatDatabaseConf,
  formatGresConf,
  formatSlurmConf,
  paths,
  powerScript,
  type ClusterLayout,
} from "./conf.ts";
import { startDatabase, startMunge, startRest } from "./daemon.ts";
import { slurmRoot, type SlurmVersion } from "./package.ts";
import { Room } from "./room.ts";

export type SlurmOptions = {
  /** 22.05 unless told; `missesSlurm` of the same version comes before. */
  version?: SlurmVersion;
  /** To which `upgrade` may go, from the host's own release. */
  next?: SlurmVersion;
  /** How many are registered at once (`n0`, `n1`, …), or their names. 2 unless told. */
  nodes?: number | readonly string[];
  /** Of each node. 8 unless told. */
  gpus?: number;
  cpus?: number;
  /** Nodes of state CLOUD (`c0`, …): absent until `startNode(name, {isBoot: true})`. */
  cloud?: number | readonly string[];
  /** slurmdbd and MariaDB; the cluster is added to it. */
  isAccounting?: boolean;
  /** slurmrestd on a socket as root without a token, and on loopback with tokens. */
  isRest?: boolean;
  /** Further lines of slurm.conf, after its own; lines `PartitionName=` replace the partition. */
  conf?: readonly string[];
  /** Files beside slurm.conf or other than those, by name. */
  files?: Readonly<Record<string, string>>;
  /** False: the nodes' slurmd wait for `startNode`. */
  isStarted?: boolean;
};

/** Alone two nodes are idle after a second; with eight other busy processes after many. */
const IDLE_MS_MAX = 60_000;
/** A controller that is away lets its clients wait for 9 s and more. */
const COMMAND_MS_MAX = 30_000;
const PORT_ATTEMPTS = 3;
const FOLDERS = [
  ...["etc", "bin", "run", "munge", "log", "spool", "state", "power", "rest", "mysql"],
];
const COMMANDS = ["scontrol", "sinfo", "squeue", "sbatch", "scancel", "srun", "sacct", "sacctmgr"];

const namesOf = (want: number | readonly string[], prefix: string): readonly string[] =>
  typeof want === "number" ? Array.from({ length: want }, (_, i) => `${prefix}${i}`) : want;

export class SlurmCluster {
  readonly folder: string;
  /** Of every client: SLURM_CONF and the folders of programs. */
  readonly env: Readonly<Record<string, string>>;
  readonly conf: string;
  /** Where a product on this host finds sinfo, squeue and scontrol of the release. */
  readonly commandDir: string;
  layout: ClusterLayout;
  readonly room: Room;

  constructor(layout: ClusterLayout, room: Room, isHost: boolean) {
    this.layout = layout;
    this.room = room;
    this.folder = layout.folder;
    this.conf = paths(layout.folder).conf;
    this.commandDir = isHost ? "/usr/bin" : `${layout.folder}/bin`;
    this.env = { ...HOST_ENV, SLURM_CONF: this.conf };
  }

  /** slurmrestd without a token; writes as root. */
  get restSocket(): string {
    return paths(this.folder).restSocket;
  }

  /** slurmrestd that wants a token. */
  get restUrl(): string {
    return `http://127.0.0.1:${this.layout.ports.rest}`;
  }

  /** Hostlists that ResumeProgram and SuspendProgram were called with, unless `conf` has others. */
  get powered(): { resumed: string[]; suspended: string[] } {
    const lines = (file: string) =>
      existsSync(file) ? readFileSync(file, "utf8").split("\n").filter(Boolean) : [];
    const at = paths(this.folder);
    return { resumed: lines(at.resumed), suspended: lines(at.suspended) };
  }

  /** Any program beside the daemons, with its exit code. */
  run(command: readonly string[], limitMs = COMMAND_MS_MAX): Promise<Ran> {
    return runCommand(this.room.beside(command), { env: this.env, limitMs });
  }

  /** The output of a program that must succeed. */
  async must(...command: readonly string[]): Promise<string> {
    const ran = await this.run(command);
    if (ran.code === 0) return ran.stdout;
    throw new Error(`${command.join(" ")}: exit ${ran.code}: ${ran.stderr}${ran.stdout}`);
  }

  scontrol(...words: readonly string[]): Promise<string> {
    return this.must("scontrol", ...words);
  }

  sinfo(...words: readonly string[]): Promise<string> {
    return this.must("sinfo", ...words);
  }

  /** Submits a job and answers its id: `sbatch(["-w", "n1", "--gres=gpu:8"], "sleep 15")`. */
  async sbatch(words: readonly string[], script: string): Promise<string> {
    const more = ["--output=/dev/null", "--chdir=/", ...words, `--wrap=${script}`];
    const out = await this.must("sbatch", "--parsable", ...more);
    return out.trim().split(";")[0] ?? "";
  }

  /** One node as scontrol has it: `State`, `Reason`, `BootTime`, …; `null` if it has none. */
  async node(name: string): Promise<Readonly<Record<string, string>> | null> {
    const ran = await this.run(["scontrol", "show", "node", name]);
    if (ran.code !== 0) return null;
    const fields: Record<string, string> = {};
    for (const line of ran.stdout.split("\n")) {
      const alone = /^\s+(Reason|OS|Comment|Extra)=(.*)$/.exec(line);
      const words = alone === null ? line.trim().split(/\s+/) : [`${alone[1]}=${alone[2]}`];
      for (const word of words) {
        const at = word.indexOf("=");
        if (at > 0) fields[word.slice(0, at)] = word.slice(at + 1);
      }
    }
    return fields;
  }

  /** As sinfo shows it: `idle`, `draining`, `down*`. */
  async state(name: string): Promise<string> {
    return (await this.sinfo("-h", "-N", "-n", name, "-o", "%T")).trim().split("\n")[0] ?? "";
  }

  async waitState(name: string, want: string | RegExp, limitMs = IDLE_MS_MAX): Promise<void> {
    await until(`${name} is ${want}`, limitMs, async () => {
      const state = await this.state(name);
      if (typeof want === "string" ? state === want : want.test(state)) return true;
      throw new Error(`it is ${state}`);
    });
  }

  /** The state of a job as squeue has it, as in `RUNNING`; empty when it is forgotten. */
  async job(id: string): Promise<string> {
    const ran = await this.run(["squeue", "-h", "-t", "all", "-j", id, "-o", "%T"]);
    return ran.code === 0 ? (ran.stdout.trim().split("\n")[0] ?? "") : "";
  }

  async waitJob(id: string, want: string, limitMs = IDLE_MS_MAX): Promise<void> {
    await until(`job ${id} is ${want}`, limitMs, async () => {
      const state = await this.job(id);
      if (state === want) return true;
      const words = ["-h", "-t", "all", "-j", id, "-o", "%T %R"];
      const told = (await this.run(["squeue", ...words])).stdout.trim();
      throw new Error(`it is ${told}; ${(await this.sinfo("-h", "-N", "-o", "%N %T")).trim()}`);
    });
  }

  /** Daemons that start from now on are of this release; what runs goes on, and so do the tools. */
  upgrade(version: SlurmVersion): void {
    this.layout = { ...this.layout, version };
    this.room.use(slurmRoot(version));
    writeFileSync(`${this.folder}/etc/cgroup.conf`, formatCgroupConf(this.layout), { mode: 0o644 });
  }

  /** The commands at `commandDir`, of the release that daemons start from. */
  writeTools(): void {
    for (const name of COMMANDS) {
      const words = this.room.beside([`/usr/bin/${name}`]).join(" ");
      const script = `#!/bin/sh\nexec ${words} "$@"\n`;
      writeFileSync(`${this.folder}/bin/${name}`, script, { mode: 0o755 });
    }
  }

  async stopRest(): Promise<void> {
    for (const name of ["slurmrestd", "slurmrestd-jwt"]) await this.room.stop(name, "SIGKILL");
    rmSync(this.restSocket, { force: true });
  }

  startRest(): Promise<void> {
    return startRest(this.room, this.layout);
  }

  /** `isFresh`: what it cannot read of an older release's state is forgotten. */
  async startController({ isFresh = false } = {}): Promise<void> {
    const more = isFresh ? ["-i"] : [];
    this.room.start("slurmctld", ["slurmctld", "-D", ...more, "-f", this.conf]);
    await this.room.wait("slurmctld", async () => (await this.ping()) === "UP");
  }

  /** By SIGTERM, which saves its state; SIGKILL is a crash. SIGSTOP: see `room.signal`. */
  stopController(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    return this.room.stop("slurmctld", signal);
  }

  /** Starts a node's slurmd. `isBoot`: the controller sees a new BootTime, as after a reboot. */
  startNode(name: string, { isBoot = false, more = [] as readonly string[] } = {}): void {
    mkdirSync(join(this.folder, "spool", name), { recursive: true });
    const words = ["-D", "-N", name, "-f", this.conf, ...(isBoot ? ["-b"] : []), ...more];
    this.room.start(name, ["slurmd", ...words]);
  }

  /** Ends a node's slurmd alone: its jobs run on, as they do when slurmd is upgraded. */
  stopNode(name: string, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    return this.room.stop(name, signal);
  }

  /** The machine is gone: slurmd and every process of its jobs end at once. */
  async killNode(name: string): Promise<void> {
    await this.room.stop(name, "SIGKILL");
    // A step that is just starting puts its processes up one after another.
    await until(`the processes of ${name} are gone`, IDLE_MS_MAX, () => {
      const left = this.room.withEnv(`SLURMD_NODENAME=${name}`);
      const steps = left.map(({ parent }) => parent).filter((pid) => isStep(pid));
      for (const pid of new Set([...steps, ...left.map((one) => one.pid)])) {
        try {
          process.kill(pid, "SIGKILL");
        } catch {
          // It ended with its parent.
        }
      }
      return left.length === 0 || null;
    });
  }

  /** Takes GPU device nodes away, or puts them back; a slurmd that starts then sees it. */
  setGpus(count: number): Promise<string> {
    return makeGpus(this.folder, count);
  }

  /** A token for slurmrestd; `SLURM_JWT=` removed. */
  async token(user = "root", lifeSeconds = 600): Promise<string> {
    const words = ["token", `username=${user}`, `lifespan=${lifeSeconds}`];
    return (await this.scontrol(...words)).trim().replace(/^SLURM_JWT=/, "");
  }

  log(name: string): string {
    return readFileSync(this.room.logPath(name), "utf8");
  }

  /** Ends everything and removes the folder. */
  close(): Promise<void> {
    return this.room.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private async ping(): Promise<string> {
    const ran = await this.run(["scontrol", "ping"]);
    return / is (UP|DOWN)/.exec(ran.stdout)?.[1] ?? "";
  }
}

/** Opens one and waits until its nodes are idle. Throws with the end of a log if it cannot. */
export async function openSlurm(options: SlurmOptions = {}): Promise<SlurmCluster> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await openOnce(options);
    } catch (error) {
      // A port may be taken by others between the choice and the use; then all is begun again.
      const isPort = String(error).includes("Address already in use");
      if (!isPort || attempt === PORT_ATTEMPTS) throw error;
    }
  }
}

async function openOnce(options: SlurmOptions): Promise<SlurmCluster> {
  const folder = mkdtempSync(join(tmpdir(), "navarch-slurm-"));
  // slurmctld runs as `slurm` and must get to its folders.
  chmodSync(folder, 0o755);
  const layout = layOut(folder, options);
  const env = { SLURM_CONF: paths(folder).conf };
  const root = slurmRoot(options.next ?? layout.version);
  const cluster = new SlurmCluster(layout, new Room(folder, env, root), root === null);
  try {
    await cluster.room.open();
    cluster.room.use(slurmRoot(layout.version));
    await prepareFolder(cluster, options.files ?? {});
    await startMunge(cluster.room);
    if (layout.isAccounting) await startDatabase(cluster.room, layout);
    await cluster.startController();
    if (options.isStarted !== false) {
      for (const name of layout.nodes.keys()) cluster.startNode(name);
    }
    if (options.isRest === true) await startRest(cluster.room, layout);
    if (options.isStarted !== false) {
      for (const name of layout.nodes.keys()) await cluster.waitState(name, "idle");
    }
    return cluster;
  } catch (error) {
    const tails = ["slurmctld", ...layout.nodes.keys()].map((one) => cluster.room.tail(one));
    await cluster.close();
    throw new Error(`${String(error)}\n${tails.join("\n").slice(-4_000)}`, { cause: error });
  }
}

function layOut(folder: string, options: SlurmOptions): ClusterLayout {
  const nodes = namesOf(options.nodes ?? 2, "n");
  const cloud = namesOf(options.cloud ?? 0, "c");
  const [controller = 0, dynamic = 0, database = 0, storage = 0, rest = 0, ...more] = freePorts(
    5 + nodes.length + cloud.length,
  );
  const port = (name: string, i: number): [string, number] => [name, more[i] ?? 0];
  return {
    folder,
    hostname: hostname().split(".")[0] ?? "localhost",
    nodes: new Map(nodes.map(port)),
    cloud: new Map(cloud.map((name, i) => port(name, nodes.length + i))),
    gpus: options.gpus ?? 8,
    cpus: options.cpus ?? 8,
    ports: { controller, dynamic, database, storage, rest },
    isAccounting: options.isAccounting ?? false,
    more: options.conf ?? [],
    version: options.version ?? "22.05",
  };
}

async function prepareFolder(
  cluster: SlurmCluster,
  files: Readonly<Record<string, string>>,
): Promise<void> {
  const { layout, room } = cluster;
  const { folder } = layout;
  const at = paths(folder);
  for (const name of FOLDERS) {
    mkdirSync(join(folder, name), { mode: 0o755 });
  }
  const write = (path: string, content: string | Uint8Array, mode: number) =>
    writeFileSync(path, content, { mode });
  write(at.conf, formatSlurmConf(layout), 0o644);
  write(`${folder}/etc/gres.conf`, formatGresConf(layout), 0o644);
  write(`${folder}/etc/cgroup.conf`, formatCgroupConf(layout), 0o644);
  write(at.database, formatDatabaseConf(layout), 0o600);
  write(at.jwtKey, randomBytes(32), 0o600);
  write(at.mungeKey, randomBytes(128), 0o400);
  write(`${folder}/power/resume`, powerScript(at.resumed), 0o755);
  write(`${folder}/power/suspend`, powerScript(at.suspended), 0o755);
  for (const [name, text] of Object.entries(files)) write(join(folder, "etc", name), text, 0o755);
  const own = [at.state, `${folder}/power`, `${folder}/run`, at.database, at.jwtKey];
  await tried(room.enter(["chown", "slurm", ...own]));
  cluster.writeTools();
  await makeGpus(folder, layout.gpus);
}

const makeGpus = (folder: string, count: number): Promise<string> => {
  const script = `mkdir -p "$0" && rm -f "$0"/* && i=0 &&
    while [ $i -lt $1 ]; do mknod -m 666 "$0/gpu$i" c 195 $i || exit 1; i=$((i+1)); done`;
  return tried(["sh", "-c", script, join(folder, "gpu"), String(count)]);
};

async function tried(command: readonly string[]): Promise<string> {
  const ran = await runCommand(command);
  if (ran.code === 0) return ran.stdout;
  throw new Error(`${command[0]}: exit ${ran.code}: ${ran.stderr}`);
}

function isStep(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("slurmstepd");
  } catch {
    return false;
  }
}
