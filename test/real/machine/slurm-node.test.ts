/**
 * `navarch bootstrap --host … --template slurm-node` onto real machines, each with systemd and
 * sshd: a dynamic node, a static one with the controller's configuration, and one with files. The
 * controller is a machine of the same bed with a munge key that no image has.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../../fixture/plane/plane.ts";
import { openBed, type Bed } from "./bed.ts";
import { missesBed } from "./gate.ts";
import type { Machine } from "./machine.ts";
import { PACKAGES, startController } from "./slurm-controller.ts";

const isMissing = await missesBed("nodes that are set up for Slurm over SSH");
const LIMIT_MS = 240_000;
const ROOT = join(import.meta.dir, "../../..");

let bed: Bed;
let ctl: Machine;
let machines: Record<"d0" | "s0" | "f0" | "e0", Machine>;
let folder: string;
const keyFile = (): string => join(folder, "munge.key");

type Ended = { code: number; out: string; err: string };
const GPUS = "CPUs=8 Gres=gpu:h100:8";

async function bootstrap(name: keyof typeof machines, more: readonly string[]): Promise<Ended> {
  const at = ["--host", machines[name].address, "--user", "root", "--key", bed.keyPath];
  const known = ["--known-hosts", join(folder, "known_hosts")];
  const set = ["--template", "slurm-node", "--set", `name=${name}`];
  const argv = ["bootstrap", ...at, ...known, ...set, ...more];
  const child = Bun.spawn([process.execPath, join(ROOT, "cli/main.ts"), ...argv], {
    cwd: ROOT,
    env: { PATH: process.env["PATH"] ?? "", HOME: folder },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 200_000,
  });
  const read = [child.stdout.text(), child.stderr.text()] as const;
  const [out, err, code] = await Promise.all([...read, child.exited]);
  return { code, out, err };
}

const states = async (): Promise<string[]> => {
  const shown = await ctl.must("timeout 10 sinfo -h -N -o '%N %T %G'");
  return [...new Set(shown.split("\n"))].map((line) => line.trim().replace(/\(.*/, "")).sort();
};
const waitIdle = (name: string) =>
  until(`${name} is idle`, 90_000, async () => {
    const all = await states();
    return all.includes(`${name} idle gpu:h100:8`) ? true : null;
  });

/** A key that no image has, on the controller and in a file here. */
async function renewKey(): Promise<void> {
  await ctl.must("head -c 1024 /dev/urandom >/etc/munge/munge.key && systemctl restart munge");
  const text = await ctl.must("base64 -w 0 /etc/munge/munge.key");
  writeFileSync(keyFile(), Buffer.from(text, "base64"), { mode: 0o400 });
}

describe.skipIf(isMissing)("navarch bootstrap --template slurm-node", () => {
  beforeAll(async () => {
    bed = await openBed({ packages: PACKAGES });
    const names = ["ctl", "d0", "s0", "f0", "e0"] as const;
    const booted = await Promise.all(names.map((nodeId) => bed.boot({ nodeId })));
    const [first, d0, s0, f0, e0] = booted;
    if (!first || !d0 || !s0 || !f0 || !e0) throw new Error("not all machines were booted");
    ctl = first;
    machines = { d0, s0, f0, e0 };
    await Promise.all(booted.map((machine) => machine.waitSsh()));
    folder = join(bed.stateDir, "slurm");
    mkdirSync(join(folder, "conf"), { recursive: true });
    const line = (name: "s0" | "f0") =>
      `NodeName=${name} NodeAddr=${machines[name].address} ${GPUS}`;
    await startController(ctl, [line("s0"), line("f0")]);
    await renewKey();
    await ctl.must("systemctl restart slurmctld");
    for (const name of ["slurm.conf", "gres.conf", "cgroup.conf"]) {
      writeFileSync(join(folder, "conf", name), `${await ctl.must(`cat /etc/slurm/${name}`)}\n`);
    }
    writeFileSync(join(folder, "conf", "slurmdbd.conf"), "StoragePass=secret\n");
  }, LIMIT_MS);
  afterAll(async () => {
    expect((await bed?.close()) ?? []).toEqual([]);
  }, 60_000);

  const dynamic = () => {
    const set = ["--set", "dynamic=true", "--set", `conf-server=${ctl.address}`];
    return [...set, "--set", `SlurmNodeConf=${GPUS}`, "--munge-key", keyFile()];
  };

  test(
    "A10: a dynamic node joins with the key that was sent, and a second run changes nothing",
    async () => {
      const first = await bootstrap("d0", dynamic());
      expect([first.code, first.err.replace(/^host key of .*\n/, "")]).toEqual([0, ""]);
      await waitIdle("d0");
      const job = await ctl.must(
        "timeout 60 srun -w d0 --gres=gpu:h100:2 printenv CUDA_VISIBLE_DEVICES",
      );
      expect(job).toBe("0,1");
      const { d0 } = machines;
      expect(await d0.must("stat -c '%a %U:%G' /etc/munge/munge.key")).toBe("400 munge:munge");
      const modes = "stat -c '%n %a %U:%G' /run/munge /etc/munge /var/lib/munge /var/log/munge";
      expect((await d0.must(modes)).split("\n")).toEqual([
        "/run/munge 755 munge:munge",
        "/etc/munge 700 munge:munge",
        "/var/lib/munge 700 munge:munge",
        "/var/log/munge 700 munge:munge",
      ]);
      const again = await bootstrap("d0", dynamic());
      expect([again.code, /changed=0/.test(again.out)]).toEqual([0, true]);
      // The commands themselves, run once more, find nothing to do either.
      const pids = "systemctl show -p MainPID --value munge slurmd";
      const before = await d0.must(pids);
      const afresh = await bootstrap("d0", [...dynamic(), "--afresh"]);
      expect([afresh.code, await d0.must(pids)]).toEqual([0, before]);
      expect(afresh.out).toContain("slurmd runs already as d0");
    },
    LIMIT_MS,
  );

  test(
    "S21: what the one encodes the other decodes, a foreign key is refused, a new key replaces it",
    async () => {
      const { d0, e0 } = machines;
      expect((await bootstrap("d0", dynamic())).code).toBe(0);
      const made = await ctl.must("munge -n");
      const read = await d0.must(`printf %s '${made}' | unmunge`);
      expect(read).toMatch(/STATUS: +Success/);
      const back = await d0.must("munge -n");
      expect(await ctl.must(`printf %s '${back}' | unmunge`)).toMatch(/STATUS: +Success/);
      // The key of the image, of which this one is no child.
      const foreign = await e0.must("munge -n");
      const wrong = await bootstrap("d0", [
        ...dynamic(),
        "--set",
        `MungeProbe=${foreign}`,
        "--afresh",
      ]);
      expect([wrong.code, wrong.err.includes("refuses a credential made with the key")]).toEqual([
        1,
        true,
      ]);
      expect(`${wrong.out}${wrong.err}`).not.toContain(foreign.slice(10, 60));
      await renewKey();
      const renewed = await bootstrap("d0", dynamic());
      expect([renewed.code, /changed=3/.test(renewed.out)]).toEqual([0, true]);
      const sum = "sha256sum /etc/munge/munge.key";
      expect(await d0.must(sum)).toBe(await ctl.must(sum));
      await d0.must(`printf %s '${await ctl.must("munge -n")}' | unmunge`);
      expect(await d0.must("find /var/lib/navarch-slurm -type f")).toBe("");
    },
    LIMIT_MS,
  );

  test(
    "S45: a static node takes its configuration from the controller, another has files",
    async () => {
      const key = ["--munge-key", keyFile()];
      const static_ = [
        "--set",
        "dynamic=false",
        "--set",
        `conf-server=${ctl.address}:6817`,
        ...key,
      ];
      const files = ["--set", "dynamic=false", "--slurm-conf", join(folder, "conf"), ...key];
      const both = await Promise.all([bootstrap("s0", static_), bootstrap("f0", files)]);
      expect(both.map(({ code, err }) => [code, err.replace(/^host key of .*\n/, "")])).toEqual([
        [0, ""],
        [0, ""],
      ]);
      await Promise.all([waitIdle("s0"), waitIdle("f0")]);
      const { f0, s0 } = machines;
      expect(await s0.run("ls /etc/slurm/slurm.conf")).toMatchObject({ code: 2 });
      expect(await f0.must("ls /etc/slurm")).not.toContain("slurmdbd");
      expect((await bootstrap("f0", files)).out).toContain("changed=0");
      // A changed file restarts slurmd with it.
      writeFileSync(join(folder, "conf", "topology.conf"), "# none\n");
      const changed = await bootstrap("f0", files);
      expect([changed.code, changed.out.includes("slurmd runs as f0")]).toEqual([0, true]);
      expect(await f0.must("cat /etc/slurm/topology.conf")).toBe("# none");
      await waitIdle("f0");
    },
    LIMIT_MS,
  );

  test(
    "S45: it waits for a controller that is away, and slurmd does at the next boot",
    async () => {
      await ctl.must("systemctl stop slurmctld");
      const setUp = bootstrap("e0", dynamic());
      await until("slurmd asks", 60_000, async () =>
        (await machines.e0.run("journalctl -u slurmd -o cat")).stdout.includes("error")
          ? true
          : null,
      );
      await ctl.must("systemctl start slurmctld");
      const ended = await setUp;
      expect([ended.code, ended.out.includes("slurmd runs as e0")]).toEqual([0, true]);
      await waitIdle("e0");
      await ctl.must("systemctl stop slurmctld");
      await machines.e0.reboot();
      await machines.e0.waitRunning();
      await Bun.sleep(15_000);
      await ctl.must("systemctl start slurmctld");
      await waitIdle("e0");
    },
    LIMIT_MS,
  );
});
