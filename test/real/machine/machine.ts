/**
 * One throw-away machine as a test sees it: commands inside it, by the kernel or by SSH, and
 * everything that can go wrong with it. Every fault has its undoing; they stack until undone.
 *
 * Adapter: processes, sockets, files, timers.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { injectXid } from "../../fixture/cloud/inject.ts";
import { HOST_ENV, runCommand, type Ran } from "../../fixture/machine/command.ts";
import { freezeGroup, initPid, isFrozen } from "./group.ts";
import { machineFolder, type NspawnMachines } from "../../fixture/machine/nspawn.ts";
import { spotOf, type Place, type Spot } from "../../fixture/machine/place.ts";
import { quote } from "../../fixture/machine/script.ts";
import type { InstanceId } from "../../../schema/id.ts";
import { until } from "../../fixture/plane/plane.ts";

/** For whatever a machine does within two seconds when nothing else runs. */
export const WAIT_MS = 30_000;

/** Between power on and its first process: some 50 ms of namespaces and mounts. */
const INIT_MS_MAX = 5_000;

/** A command that says nothing itself about how long it may take. */
const COMMAND_MS_MAX = 60_000;

const BOOT_ID = "/proc/sys/kernel/random/boot_id";

export type MachineOf = {
  stateDir: string;
  id: InstanceId;
  name: string;
  machines: NspawnMachines;
  place: Place;
  /** Private key that every machine of the bed knows. */
  keyPath: string;
  /** A full disk must be the machine's own and not the host's. */
  hasOwnDisk: boolean;
};

export type RunOptions = { user?: string; input?: string | Uint8Array; limitMs?: number };
export type SshOptions = RunOptions & { keyPath?: string; connectSeconds?: number };

/** A machine that answers does so at once; one that is cut off is to be noticed soon. */
const CONNECT_SECONDS = 2;

/** Silent seconds of a session after which the machine counts as cut off, at least. */
const ALIVE_COUNT_MIN = 5;

export class Machine {
  readonly id: InstanceId;
  readonly name: string;
  readonly address: string;
  readonly folder: string;
  readonly #of: MachineOf;
  readonly #spot: Spot;
  readonly #group: string;

  constructor(of: MachineOf) {
    const facts = of.machines.facts(of.id);
    const group = of.machines.group(of.id);
    if (facts === null || group === null) throw new Error(`${of.id} was never booted`);
    this.#of = of;
    this.id = of.id;
    this.name = of.name;
    this.address = facts.address;
    this.folder = machineFolder(of.stateDir, of.id);
    const number = Number(facts.address.slice(facts.address.lastIndexOf(".") + 1));
    this.#spot = spotOf(of.place, number - spotOf(of.place, 0).number);
    this.#group = group;
  }

  /** Public host keys, as the provider tells them. */
  get hostKeys(): readonly string[] {
    return this.#of.machines.facts(this.id)?.hostKeys ?? [];
  }

  /** Where its disk is seen from the host while it has one. */
  get root(): string {
    return join(this.folder, "root");
  }

  /** What its namespace and cgroups are called. */
  get spotName(): string {
    return this.#spot.name;
  }

  get state(): string {
    return this.#of.machines.look(this.id).kind;
  }

  // ---- commands ----

  /**
   * Runs a shell command inside, as root unless told, without SSH and so whatever its network does.
   * The command belongs to the machine: it stops and ends with it.
   */
  async run(command: string, options: RunOptions = {}): Promise<Ran> {
    const pid = await this.#init();
    if (pid === null) return { code: 255, stdout: "", stderr: `${this.name} is not up` };
    const { user = "root", input, limitMs = COMMAND_MS_MAX } = options;
    const enter = 'echo 0 >"$1/cgroup.procs"; shift; exec nsenter "$@"';
    // The caller's working directory is not in there, and a shell would say so.
    const login = 'cd / && exec su - "$0" -c "$1"';
    const inside =
      user === "root" ? ["sh", "-c", `cd /\n${command}`] : ["sh", "-c", login, user, command];
    const env = ["env", "-i", `PATH=${HOST_ENV["PATH"]}`, "HOME=/root", ...inside];
    const all = ["sh", "-c", enter, "enter", this.#group, "-t", String(pid), "-a", ...env];
    return runCommand(all, { limitMs, ...(input === undefined ? {} : { input }) });
  }

  /** A machine is on a moment before its first process is there. */
  async #init(): Promise<number | null> {
    const endMs = performance.now() + INIT_MS_MAX;
    for (;;) {
      const pid = initPid(this.#group);
      const comes = this.state === "up" || this.state === "booting";
      if (pid !== null || !comes || performance.now() > endMs) return pid;
      await Bun.sleep(10);
    }
  }

  /** The same, where anything but success is a failed test. Its standard output, trimmed. */
  async must(command: string, options: RunOptions = {}): Promise<string> {
    const ran = await this.run(command, options);
    if (ran.code === 0) return ran.stdout.trim();
    throw new Error(`${this.name}: ${command}: exit ${ran.code}\n${ran.stdout}${ran.stderr}`);
  }

  /** Arguments of `ssh` and `scp` up to the target, with the machine's own host key pinned. */
  sshArguments(keyPath: string = this.#of.keyPath, connectSeconds = CONNECT_SECONDS): string[] {
    const file = join(this.folder, "known_hosts");
    const lines = this.hostKeys.map((key) => `${this.address} ${key}\n`);
    if (existsSync(this.folder)) writeFileSync(file, lines.join(""));
    const settings = {
      BatchMode: "yes",
      StrictHostKeyChecking: "yes",
      UserKnownHostsFile: file,
      IdentitiesOnly: "yes",
      LogLevel: "ERROR",
      ConnectTimeout: String(connectSeconds),
      // Who is patient with the connection is patient with the session: five silent seconds say
      // nothing of a link that loses packets.
      ServerAliveInterval: "1",
      ServerAliveCountMax: String(Math.max(ALIVE_COUNT_MIN, connectSeconds)),
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
    return ["-F", "/dev/null", "-i", keyPath, ...flags];
  }

  /** Runs a shell command over SSH, as `ubuntu` unless told. 255 is SSH's own failure. */
  async ssh(command: string, options: SshOptions = {}): Promise<Ran> {
    const { user = "ubuntu", input, limitMs = COMMAND_MS_MAX, keyPath, connectSeconds } = options;
    const flags = this.sshArguments(keyPath, connectSeconds);
    const all = ["ssh", ...flags, `${user}@${this.address}`, command];
    return runCommand(all, { limitMs, ...(input === undefined ? {} : { input }) });
  }

  /** Resolves once its sshd sends a banner, with how long that took. Milliseconds. */
  async waitSsh(limitMs: number = WAIT_MS): Promise<number> {
    const startMs = performance.now();
    await until(`${this.name}: sshd on ${this.address}`, limitMs, async () =>
      (await readBanner(this.address, 1_000)).startsWith("SSH-2.0-") ? true : null,
    );
    return performance.now() - startMs;
  }

  /** Resolves once systemd has started everything, and tells whether all of it works. */
  async waitRunning(limitMs: number = WAIT_MS): Promise<string> {
    return until(`${this.name}: systemd`, limitMs, async () => {
      const said = (await this.run("systemctl is-system-running")).stdout.trim();
      return said === "running" || said === "degraded" ? said : null;
    });
  }

  bootId(): Promise<string> {
    return this.must(`cat ${BOOT_ID}`);
  }

  // ---- faults ----

  /** Power cut: every process ends at once, the disk stays as it is. */
  async cut(): Promise<void> {
    this.#of.machines.cut(this.id, { again: false });
    await this.#until("off", "failed");
  }

  /** A clean power off from inside. */
  async powerOff(): Promise<void> {
    await this.run("systemctl --no-block poweroff");
    await this.#until("off");
  }

  /**
   * Power on, after either. Pressed again until it is on: what a killed supervisor had begun holds
   * the machine's lock a moment longer, and whoever finds it held goes away.
   */
  async start(): Promise<void> {
    await until(`${this.name} up`, WAIT_MS, () => {
      const { state } = this;
      if (state === "off" || state === "failed" || state === "absent") {
        this.#of.machines.boot({ id: this.id, name: this.name, sshKeys: [] });
      }
      return state === "up" ? true : null;
    });
  }

  async #until(...states: readonly string[]): Promise<void> {
    const what = `${this.name} ${states.join(" or ")}`;
    await until(what, WAIT_MS, () => (states.includes(this.state) ? true : null));
  }

  /** Reboots from inside, and waits for the next boot. */
  async reboot(): Promise<void> {
    const before = await this.bootId();
    // In the first moments of a boot nobody takes the order yet.
    await until(`${this.name} takes the order`, WAIT_MS, async () => {
      const ran = await this.run("systemctl --no-block reboot");
      return ran.code === 0 || this.#seeBootId() !== before ? true : null;
    });
    await this.waitReboot(before);
  }

  /**
   * Waits for a boot that is not the given one, from outside: systemd-shutdown waits ten seconds
   * for a process that entered meanwhile, as it is never told of the end of what is not its own.
   */
  async waitReboot(before: string): Promise<string> {
    return until(`${this.name}: another boot`, WAIT_MS, () => {
      const now = this.#seeBootId();
      return now === null || now === before ? null : now;
    });
  }

  /** `null` between two boots; a machine that is being made still shows this computer's own. */
  #seeBootId(): string | null {
    const pid = initPid(this.#group);
    if (pid === null) return null;
    try {
      const id = readFileSync(`/proc/${pid}/root${BOOT_ID}`, "utf8");
      return id === readFileSync(BOOT_ID, "utf8") ? null : id.trim();
    } catch {
      return null;
    }
  }

  /** Nothing inside runs any more; the kernel still answers for its sockets. */
  async freeze(): Promise<void> {
    freezeGroup(this.#group, true);
    await until(`${this.name} frozen`, WAIT_MS, () => (isFrozen(this.#group) ? true : null));
  }

  async thaw(): Promise<void> {
    freezeGroup(this.#group, false);
    await until(`${this.name} thawed`, WAIT_MS, () => (isFrozen(this.#group) ? null : true));
  }

  /** The cable is out: neither side hears the other. */
  async unplug(): Promise<void> {
    await this.#host(["ip", "-n", this.#of.place.hub, "link", "set", this.#spot.link, "down"]);
  }

  async plug(): Promise<void> {
    await this.#host(["ip", "-n", this.#of.place.hub, "link", "set", this.#spot.link, "up"]);
  }

  /** It hears and is not heard. */
  async mute(): Promise<void> {
    await this.#filter("hub", "policy drop");
  }

  /** It is heard and hears nothing. */
  async deafen(): Promise<void> {
    await this.#filter("machine", "policy drop");
  }

  /** Loses that share of what it sends, 0 to 100 %. */
  async lose(percent: number): Promise<void> {
    // ARP asks three times and is done with it, which TCP never hears about.
    await this.#filter("hub", `meta protocol ip numgen random mod 100 < ${percent} drop`);
  }

  /** New connections to a port are refused with a reset. */
  async refuse(port: number): Promise<void> {
    const rule = `tcp dport ${port} reject with tcp reset`;
    const chain = `chain c { type filter hook input priority 0; ${rule}; }`;
    await this.#inside(["nft", `table inet f_reset { ${chain}; }`]);
  }

  /** Both ways at this rate, as `5mbit` (tc's units). */
  async slow(rate: string): Promise<void> {
    const shape = ["root", "tbf", "rate", rate, "burst", "64k", "latency", "50ms"];
    await this.#inside(["tc", "qdisc", "replace", "dev", "eth0", ...shape]);
    await this.#hub(["tc", "qdisc", "replace", "dev", this.#spot.link, ...shape]);
  }

  /** Undoes every fault of the network. */
  async heal(): Promise<void> {
    const undo = { quiet: true };
    await this.#hub(["nft", "delete", "table", "netdev", `f_${this.#spot.number}`], undo);
    await this.#inside(["nft", "delete", "table", "netdev", `f_${this.#spot.number}`], undo);
    await this.#inside(["nft", "delete", "table", "inet", "f_reset"], undo);
    await this.#inside(["tc", "qdisc", "del", "dev", "eth0", "root"], undo);
    await this.#hub(["tc", "qdisc", "del", "dev", this.#spot.link, "root"], undo);
    await this.plug();
  }

  /** Fills the machine's own disk to the last block. */
  async fillDisk(): Promise<void> {
    if (!this.#of.hasOwnDisk) throw new Error("open the bed with disk: tmpfs:SIZE or ext4:SIZE");
    // ext4 keeps the last blocks from a writer in a hurry and gives them to small steps.
    const step = "head -c 4K /dev/zero >>/var/fill.more && sync -d /var/fill.more";
    await this.run(`cat /dev/zero >/var/fill; sync; while ${step}; do :; done; :`);
  }

  async emptyDisk(): Promise<void> {
    await this.must("rm -f /var/fill /var/fill.more; sync");
  }

  /** A GPU fault in the machine's own kernel log, as the driver prints it. */
  xid(xid: number, message?: string): void {
    const fault = message === undefined ? { xid } : { xid, message };
    injectXid(this.#of.stateDir, this.id, fault);
  }

  async #filter(side: "hub" | "machine", rule: string): Promise<void> {
    await this.heal();
    const device = side === "hub" ? this.#spot.link : "eth0";
    const hook = `type filter hook ingress device ${device} priority 0`;
    const command = [
      "nft",
      `table netdev f_${this.#spot.number} { chain c { ${hook}; ${rule}; }; }`,
    ];
    await (side === "hub" ? this.#hub(command) : this.#inside(command));
  }

  #hub(command: readonly string[], how: { quiet?: boolean } = {}): Promise<void> {
    return this.#host(["nsenter", `--net=/run/netns/${this.#of.place.hub}`, ...command], how);
  }

  #inside(command: readonly string[], how: { quiet?: boolean } = {}): Promise<void> {
    return this.#host(["nsenter", `--net=/run/netns/${this.#spot.name}`, ...command], how);
  }

  async #host(command: readonly string[], { quiet = false } = {}): Promise<void> {
    const ran = await runCommand(command, { limitMs: COMMAND_MS_MAX });
    if (ran.code === 0 || quiet) return;
    throw new Error(`${this.name}: ${command.map(quote).join(" ")}: ${ran.stderr.trim()}`);
  }
}

/** The first bytes that a server sends by itself; empty if it sends none in time. */
export function readBanner(address: string, limitMs: number, port = 22): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    const end = (text: string): void => {
      socket.destroy();
      resolve(text);
    };
    socket.setTimeout(limitMs, () => end(""));
    socket.once("error", () => end(""));
    socket.once("data", (bytes) => end(bytes.toString("latin1")));
  });
}
