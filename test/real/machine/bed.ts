/**
 * A bed of throw-away machines for tests: opened in about a second once the image is there, several
 * side by side, and nothing is left of it when it is closed or when the process that opened it is
 * killed. Machines are bought from the product's own provider; their control plane may be the test
 * itself or a real one over the same state folder.
 *
 * Adapter: processes, files, the environment, timers.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openMachineBed } from "../../fixture/machine/bed.ts";
import type { MachineBed } from "../../fixture/machine/bed.ts";
import { HOST_ENV, runCommand } from "../../fixture/machine/command.ts";
import { RUN_DIR } from "../../fixture/machine/hub-script.ts";
import type { Ready } from "../../fixture/machine/nspawn.ts";
import { isLive } from "../../../reconciler/provider/fake/world.ts";
import type { CreateRequest, Provider } from "../../../reconciler/core/provider.ts";
import type { ProviderConfig } from "../../../schema/config.ts";
import type { InstanceId } from "../../../schema/id.ts";
import { until } from "../../fixture/plane/plane.ts";
import { prepareBed } from "./gate.ts";
import { Machine, WAIT_MS } from "./machine.ts";

/** Ends every machine and removes what they shared; what could not be done, or `null`. */
export async function clearBed(stateDir: string): Promise<string | null> {
  const script = join(stateDir, "clear.sh");
  if (!existsSync(script)) return null;
  const ran = await runCommand(["sh", script]);
  const said = `${ran.stdout}${ran.stderr}`.trim();
  return ran.code === 0 && said === "" ? null : `exit ${ran.code}: ${said}`;
}

export const BED_FLEET = "bed";

export type BedOptions = {
  /** `disk` (default), `tmpfs:64m`, `ext4:256m`. */
  disk?: string;
  /** More settings of the provider, in the flat form. */
  settings?: ProviderConfig["settings"];
  /** A bed that a control plane has, or had: its machines are here too. */
  stateDir?: string;
  /** Of an image that has more than every machine has. */
  packages?: readonly string[];
};

/**
 * Takes everything away if the process that opened the bed dies without a word: its end of the pipe
 * closes before it said that it is done. Control planes over the bed are ended first, by the state
 * folders that were told: they would buy on. A terminal's Ctrl-C reaches it too; it stays.
 */
const GUARD = `trap '' INT TERM HUP
cd /
bed=$1
set --
while read -r word folder; do
  [ "$word" != done ] || exit 0
  set -- "$@" "$folder"
done
for folder; do
  for pid in /proc/[0-9]*; do
    case $(tr '\\0' ' ' <"$pid/cmdline" 2>/dev/null) in
      *" --state $folder "*) kill -9 "\${pid#/proc/}" ;;
    esac
  done
done
[ ! -e "$bed/clear.sh" ] || sh "$bed/clear.sh"
rm -rf --one-file-system "$bed" "$@"`;

export class Bed {
  readonly stateDir: string;
  readonly provider: Provider;
  /** Private key whose public half every machine gets that `boot` buys. */
  readonly keyPath: string;
  readonly publicKey: string;
  /** Where machines reach this computer. */
  readonly gateway: string;
  readonly #bed: MachineBed;
  readonly #ready: Ready;
  readonly #guard: Bun.Subprocess<"pipe", "ignore", "ignore">;
  readonly #hasOwnDisk: boolean;
  #bought = 0;

  constructor(bed: MachineBed, ready: Ready, keyPath: string, hasOwnDisk: boolean) {
    this.#bed = bed;
    this.#ready = ready;
    this.stateDir = bed.stateDir;
    this.provider = bed.provider;
    this.keyPath = keyPath;
    this.publicKey = readFileSync(`${keyPath}.pub`, "utf8").trim();
    this.gateway = ready.place.gateway;
    this.#hasOwnDisk = hasOwnDisk;
    this.#guard = Bun.spawn(["/bin/sh", "-c", GUARD, "guard", this.stateDir], {
      env: { ...HOST_ENV },
      cwd: "/",
      stdio: ["pipe", "ignore", "ignore"],
      detached: true,
    });
  }

  /** A control plane's state folder: both go with the bed if this process dies without a word. */
  async guard(stateDir: string): Promise<void> {
    await this.#guard.stdin.write(`also ${stateDir}\n`);
    await this.#guard.stdin.flush();
  }

  /** What this bed is made of, for a look at what is left of it. */
  get ready(): Ready {
    return this.#ready;
  }

  /** Everything of the bed that is on this computer now. */
  left(): Promise<string[]> {
    return findLeft(this.stateDir, this.#ready);
  }

  /** Buys a machine and waits until it is on; SSH answers a little later. */
  async boot(
    change: Partial<CreateRequest> = {},
    credential: string | null = null,
  ): Promise<Machine> {
    this.#bought += 1;
    const nodeId = change.nodeId ?? `m${this.#bought}`;
    const request: CreateRequest = {
      token: `bed-${nodeId}`,
      name: nodeId,
      nodeId,
      region: null,
      zone: null,
      instanceType: "machine",
      tags: { "navarch-fleet": BED_FLEET, "navarch-node": nodeId },
      market: "on-demand",
      reservation: null,
      sshKeys: [this.publicKey],
      ...change,
    };
    const fence = { nodeId, fence: 1, sessionId: null };
    const answer = await this.provider.create(request, fence, credential);
    if (answer.kind !== "ok") throw new Error(`not bought: ${JSON.stringify(answer)}`);
    return this.machine(answer.instance.id);
  }

  /** Several at once. */
  bootAll(count: number): Promise<Machine[]> {
    return Promise.all(Array.from({ length: count }, () => this.boot()));
  }

  /** A machine that anybody bought from this bed, by its instance id or its name, once it is on. */
  async machine(which: string): Promise<Machine> {
    const { machines, provider } = this.#bed;
    return until(`${which} is on`, WAIT_MS, () => {
      const all = [...provider.world().instances.values()].map((held) => held.instance);
      const found = all.find((one) => one.id === which || (one.name === which && isLive(one)));
      if (found === undefined || found.state === "provisioning") return null;
      return this.#machineOf(found.id, found.name, machines);
    });
  }

  #machineOf(id: InstanceId, name: string, machines: MachineBed["machines"]): Machine {
    const { stateDir, keyPath } = this;
    const { place } = this.#ready;
    return new Machine({
      ...{ stateDir, id, name, machines, place, keyPath },
      hasOwnDisk: this.#hasOwnDisk,
    });
  }

  /** Every machine that is on or was, as the record has them. */
  async machines(): Promise<Machine[]> {
    const live = this.#bed.provider.reality().live.filter((one) => one.state === "running");
    return Promise.all(live.map((one) => this.machine(one.id)));
  }

  async terminate(machine: Machine): Promise<void> {
    const held = this.#bed.provider.world().instances.get(machine.id);
    const fence = { nodeId: held?.nodeId ?? machine.name, fence: 1_000_000, sessionId: null };
    await this.provider.terminate(machine.id, fence);
    await until(`${machine.name} gone`, WAIT_MS, () => (machine.state === "gone" ? true : null));
  }

  /** Ends every machine and removes everything; what is left, which must be nothing. */
  async close(): Promise<string[]> {
    await this.provider.close();
    const why = await clearBed(this.stateDir);
    if (why === null) removeBed(this.stateDir);
    await this.#guard.stdin.write("done\n");
    await this.#guard.stdin.end();
    await this.#guard.exited;
    const left = await this.left();
    return why === null ? left : [`clear: ${why}`, ...left];
  }
}

/** Never into another file system: what is still mounted there is a machine's, and is left. */
export function removeBed(folder: string): void {
  Bun.spawnSync(["rm", "-rf", "--one-file-system", folder], { env: { ...HOST_ENV } });
}

/** Opens a bed, building the image first if there is none. Throws with the reason if it cannot. */
export async function openBed(options: BedOptions = {}): Promise<Bed> {
  const image = await prepareBed({ packages: options.packages ?? [] });
  const stateDir = options.stateDir ?? mkdtempSync(join(tmpdir(), "navarch-bed-"));
  const disk = options.disk ?? "disk";
  const opened = openMachineBed({
    name: "machine",
    stateDir,
    settings: { ...options.settings, disk, image },
    clock: { wallMs: () => Date.now(), after: (ms, work) => void setTimeout(work, ms).unref() },
    random: () => Math.random(),
    fleetId: BED_FLEET,
    problem: (message) => console.error(`machines: ${message}`),
  });
  const isNew = options.stateDir === undefined;
  if (opened.kind === "unavailable") {
    if (isNew) removeBed(stateDir);
    throw new Error(opened.why);
  }
  const why = await opened.bed.prepared;
  const ready = opened.bed.ready();
  if (ready === null) {
    await opened.bed.provider.close();
    if (isNew) {
      await clearBed(stateDir);
      removeBed(stateDir);
    }
    throw new Error(why ?? "the bed is not ready");
  }
  const keyPath = join(stateDir, "key");
  if (!existsSync(keyPath)) {
    await runCommand(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bed", "-f", keyPath]);
  }
  return new Bed(opened.bed, ready, keyPath, disk !== "disk");
}

const linesOf = (path: string): string[] => {
  try {
    return readFileSync(path, "utf8").split("\n");
  } catch {
    return [];
  }
};

const namesIn = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder) : []);

/** Namespaces, cables, mounts, loop devices, cgroups, processes, routes and files of a bed. */
export async function findLeft(stateDir: string, { place, trees }: Ready): Promise<string[]> {
  const { prefix, network } = place;
  const own = (name: string): boolean => name === prefix || name.startsWith(`${prefix}-`);
  const route = await runCommand(["ip", "-4", "route", "show", "root", `${network}.0/24`]);
  const mounts = linesOf("/proc/self/mounts").filter(
    (line) => line.includes(stateDir) || own(line.split(" ")[0] ?? ""),
  );
  const loops = namesIn("/sys/block").filter((name) =>
    linesOf(`/sys/block/${name}/loop/backing_file`)[0]?.startsWith(stateDir),
  );
  const groups = [...trees.own, ...trees.more].flatMap((tree) =>
    namesIn(tree)
      .filter(own)
      .map((name) => join(tree, name)),
  );
  const processes = namesIn("/proc").filter(
    (pid) => /^\d+$/.test(pid) && linesOf(`/proc/${pid}/cmdline`)[0]?.includes(stateDir),
  );
  return [
    ...namesIn("/run/netns")
      .filter(own)
      .map((name) => `namespace ${name}`),
    ...namesIn("/sys/class/net")
      .filter(own)
      .map((name) => `link ${name}`),
    ...mounts.map((line) => `mount ${line}`),
    ...loops.map((name) => `loop device ${name}`),
    ...groups.map((path) => `cgroup ${path}`),
    ...processes.map((pid) => `process ${pid}`),
    ...route.stdout
      .split("\n")
      .filter(Boolean)
      .map((line) => `route ${line.trim()}`),
    ...[stateDir, join(RUN_DIR, `claim-${place.number}`)].filter(existsSync),
  ];
}
