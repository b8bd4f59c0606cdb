/**
 * Machines as systemd-nspawn containers, each a folder under `instance/` with its programs, its
 * disk, its kernel log and its console. What a machine is can be read from that folder and its
 * cgroup alone, by whoever comes next; orders are carried out by the folder's own programs, in
 * sessions of their own, so that they finish although whoever gave them was killed.
 *
 * Adapter: processes, files, cgroups, a timer's clock.
 */
import { spawn, type ChildProcess } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import type { InstanceId } from "../../../schema/id.ts";
import { HOST_ENV } from "./command.ts";
import { isPopulated, killGroup, type GroupTrees } from "./group.ts";
import { MACHINES_MAX, spotOf, type Place, type Spot } from "./place.ts";
import type { MachineFacts, MachineOrder, MachineState, Machines } from "./port.ts";
import { BUSY, ENDING, formatBoot, formatEnd, type MachinePlan } from "./script.ts";
import { formatSeedFiles } from "./seed.ts";
import type { Disk } from "./setting.ts";

/** What was prepared on the host before the first machine. */
export type Ready = { image: string; place: Place; trees: GroupTrees };

export type NspawnOptions = {
  stateDir: string;
  disk: Disk;
  gpuCount: number;
  /** Without it, true. */
  tellHostKeys?: boolean;
  /** `null` until everything is there. */
  ready: () => Ready | null;
  problem: (message: string) => void;
};

/** After an end that failed, until the next try: whatever holds the machine may let go. */
const END_AGAIN_MS = 2_000;

const TAIL_LINES = 6;

function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

/** Never half a file: a program that is killed leaves the old one or the new one. */
function putFile(path: string, text: string, mode: number): void {
  writeFileSync(`${path}.new`, text, { mode, flush: true });
  renameSync(`${path}.new`, path);
}

export function machineFolder(stateDir: string, id: InstanceId): string {
  return join(stateDir, "instance", id);
}

export class NspawnMachines implements Machines {
  readonly #options: NspawnOptions;
  readonly #booting = new Map<InstanceId, ChildProcess>();
  readonly #ending = new Map<InstanceId, { child: ChildProcess; atMs: number }>();

  constructor(options: NspawnOptions) {
    this.#options = options;
  }

  #file(id: InstanceId, name: string): string {
    return join(machineFolder(this.#options.stateDir, id), name);
  }

  ready(): boolean {
    return this.#options.ready() !== null;
  }

  prepare(id: InstanceId, credential: string | null): void {
    mkdirSync(this.#file(id, ""), { recursive: true, mode: 0o700 });
    if (credential !== null) putFile(this.#file(id, "token"), credential, 0o600);
  }

  /** The last octet of the machine's address; `null` for one that was never booted. */
  #number(id: InstanceId): number | null {
    const text = readText(this.#file(id, "number"));
    return text === null ? null : Number(text);
  }

  /** Turns go round, so that an address is not soon somebody else's. */
  #takeSpot(id: InstanceId, place: Place): Spot {
    const taken = new Set<number>();
    for (const name of readdirSync(join(this.#options.stateDir, "instance"))) {
      const other = name as InstanceId;
      const number = existsSync(this.#file(other, "ended")) ? null : this.#number(other);
      if (number !== null && other !== id) taken.add(number);
    }
    const turn = Number(id.slice(id.lastIndexOf("-") + 1)) - 1;
    for (let tries = 0; tries < MACHINES_MAX; tries += 1) {
      const spot = spotOf(place, turn + tries);
      if (!taken.has(spot.number)) return spot;
    }
    throw new Error(`${place.network}: every address is taken`);
  }

  #spot(id: InstanceId, place: Place): Spot | null {
    const number = this.#number(id);
    if (number === null) return null;
    return spotOf(place, number - spotOf(place, 0).number);
  }

  /** `again`: it was just cut, and is to come up once it is down. */
  boot(order: MachineOrder, how: { again: boolean } = { again: false }): void {
    const ready = this.#options.ready();
    if (ready === null || this.#booting.has(order.id)) return;
    this.prepare(order.id, null);
    const spot = this.#spot(order.id, ready.place) ?? this.#takeSpot(order.id, ready.place);
    if (!existsSync(this.#file(order.id, "boot.sh"))) this.#write(order, ready, spot);
    const child = this.#spawn(order.id, "boot.sh", how.again ? ["again"] : []);
    this.#booting.set(order.id, child);
    child.on("exit", () => void this.#booting.delete(order.id));
  }

  /** Everything that the machine's programs read; `boot.sh` comes last, as it says all is there. */
  #write(order: MachineOrder, { image, place, trees }: Ready, spot: Spot): void {
    const { id, name, sshKeys } = order;
    const { disk, gpuCount, stateDir } = this.#options;
    const hasCredential = existsSync(this.#file(id, "token"));
    for (const [path, text] of formatSeedFiles({ name, spot, gpuCount, hasCredential })) {
      const file = this.#file(id, join("seed", path));
      mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
      writeFileSync(file, text, { mode: 0o644 });
    }
    const keys = sshKeys.map((key) => `${key.trim()}\n`).join("");
    putFile(this.#file(id, "authorized_keys"), keys, 0o600);
    const plan: MachinePlan = {
      folder: machineFolder(stateDir, id),
      name,
      image,
      disk,
      place,
      spot,
      v2: trees.v2,
      trees: trees.own,
      moreTrees: trees.more,
    };
    putFile(this.#file(id, "number"), String(spot.number), 0o600);
    putFile(this.#file(id, "end.sh"), formatEnd(plan), 0o700);
    putFile(this.#file(id, "boot.sh"), formatBoot(plan), 0o700);
  }

  #spawn(id: InstanceId, script: string, args: readonly string[] = []): ChildProcess {
    const log = openSync(this.#file(id, "console.log"), "a", 0o600);
    try {
      const child = spawn("/bin/sh", [this.#file(id, script), ...args], {
        cwd: this.#file(id, ""),
        detached: true,
        stdio: ["ignore", log, log],
        env: { ...HOST_ENV },
      });
      child.on("error", (error) => this.#options.problem(`${id}: ${script}: ${error.message}`));
      child.unref();
      return child;
    } finally {
      closeSync(log);
    }
  }

  group(id: InstanceId): string | null {
    const ready = this.#options.ready();
    const spot = ready === null ? null : this.#spot(id, ready.place);
    return ready === null || spot === null ? null : join(ready.trees.v2, spot.name);
  }

  /** True while somebody keeps it up; a pid that came back as another's is not believed. */
  #isSupervised(id: InstanceId): boolean {
    if (this.#booting.has(id)) return true;
    const pid = Number(readText(this.#file(id, "supervisor.pid")));
    if (!(pid > 1)) return false;
    return readText(`/proc/${pid}/cmdline`)?.includes(this.#file(id, "boot.sh")) ?? false;
  }

  look(id: InstanceId): MachineState {
    const has = (name: string) => existsSync(this.#file(id, name));
    if (has("ended")) return { kind: "gone" };
    if (has("ending")) return { kind: "ending" };
    if (!has("boot.sh")) return { kind: "absent" };
    const group = this.group(id);
    if (group === null) return { kind: "booting" };
    if (isPopulated(group)) return { kind: "up" };
    if (this.#isSupervised(id)) return { kind: "booting" };
    if (has("off")) return { kind: "off" };
    if (!has("supervisor.pid")) return { kind: "absent" };
    return { kind: "failed", why: this.#tail(id) };
  }

  #tail(id: InstanceId): string {
    const lines = (readText(this.#file(id, "console.log")) ?? "").trim().split("\n");
    return lines.slice(-TAIL_LINES).join("; ");
  }

  facts(id: InstanceId): MachineFacts | null {
    const ready = this.#options.ready();
    const spot = ready === null ? null : this.#spot(id, ready.place);
    if (spot === null) return null;
    const key = readText(this.#file(id, "hostkey.pub"))?.trim() ?? "";
    const isTold = key !== "" && this.#options.tellHostKeys !== false;
    return { address: spot.address, hostKeys: isTold ? [key] : [] };
  }

  reset(order: MachineOrder, count: number): void {
    const { id } = order;
    const done = Number(readText(this.#file(id, "resets")) ?? 0);
    if (count <= done) return;
    this.cut(id, { again: true });
    if (!this.#isSupervised(id)) this.boot(order, { again: true });
    // Afterwards: one that dies here resets the machine once more, and never too seldom.
    putFile(this.#file(id, "resets"), String(count), 0o600);
  }

  /** Power off without a warning; `again` powers it on at once. */
  cut(id: InstanceId, { again }: { again: boolean }): void {
    if (again && this.#isSupervised(id)) writeFileSync(this.#file(id, "reset"), "");
    const group = this.group(id);
    if (group !== null) killGroup(group);
  }

  end(id: InstanceId): void {
    if (!existsSync(this.#file(id, "end.sh"))) {
      this.prepare(id, null);
      rmSync(this.#file(id, "token"), { force: true });
      putFile(this.#file(id, "ended"), "", 0o600);
      return;
    }
    const last = this.#ending.get(id);
    const nowMs = performance.now();
    if (last !== undefined) {
      if (last.child.exitCode === null && last.child.signalCode === null) return;
      if (nowMs - last.atMs < END_AGAIN_MS) return;
    }
    const child = this.#spawn(id, "end.sh");
    this.#ending.set(id, { child, atMs: nowMs });
    child.on("exit", (code) => {
      if (code === 0 || code === BUSY || code === ENDING) return;
      this.#options.problem(`${id} does not end (${code ?? "killed"}): ${this.#tail(id)}`);
    });
  }

  remove(id: InstanceId): void {
    // A folder with a machine in it holds mounts, and what is mounted is never removed.
    const isSafe = existsSync(this.#file(id, "ended")) || !existsSync(this.#file(id, "boot.sh"));
    if (isSafe) rmSync(this.#file(id, ""), { recursive: true, force: true });
  }
}
