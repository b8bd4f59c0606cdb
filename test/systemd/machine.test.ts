/**
 * The agent under its unit on a real machine with a real systemd, installed from its package: every
 * misfortune that a unit is there for. The control plane's own package joins it at the end.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { type PackageName, makeDeb } from "../../build/deb/package.ts";
import { agentBinary } from "../agent/binary.ts";
import { StubControlPlane } from "../agent/control-plane.ts";
import { buildNvml } from "../fixture/nvml/build.ts";
import { until } from "../fixture/plane/plane.ts";
import { type Bed, openBed } from "../real/machine/bed.ts";
import { missesBed } from "../real/machine/gate.ts";
import type { Machine } from "../real/machine/machine.ts";
import { CommandId } from "../../schema/id.ts";
import { KERNEL_LOG } from "../fixture/machine/script.ts";

const isMissing = await missesBed("the units on a real machine");

const ROOT = join(import.meta.dir, "../..");
const UNIT = "navarch-node.service";
const LIBRARY = "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1";
const STATE = "/etc/fake-nvml-state";
const HEALTHY = "count=2\n";
/** How often it is killed; a hundred by hand, as a package's test takes a second for each. */
const KILLS = Number(process.env["NAVARCH_KILLS"] ?? "10");

/** Installs a package as apt would, from the bytes that the builder makes. */
async function install(machine: Machine, name: PackageName, binary: string): Promise<void> {
  const { bytes } = makeDeb(name, readFileSync(binary), { version: "0.0.1", seconds: 0 });
  await machine.must("cat >/var/package.deb", { input: bytes });
  await machine.must("dpkg -i /var/package.deb && rm /var/package.deb");
}

describe.skipIf(isMissing)(UNIT, () => {
  let bed: Bed;
  let machine: Machine;
  let plane: StubControlPlane;

  const show = (key: string) => machine.must(`systemctl show ${UNIT} -p ${key} --value`);
  const restarts = async () => Number(await show("NRestarts"));
  const status = () => show("StatusText");
  const active = (limitMs = 30_000) =>
    until("the unit is active", limitMs, async () =>
      (await show("ActiveState")) === "active" ? true : null,
    );
  const said = (text: string, limitMs = 30_000) =>
    until(`status ${text}`, limitMs, async () => ((await status()).includes(text) ? true : null));
  const dropIn = async (lines: string) => {
    const folder = `/etc/systemd/system/${UNIT}.d`;
    await machine.must(`mkdir -p ${folder} && cat >${folder}/test.conf`, { input: lines });
    await machine.must("systemctl daemon-reload");
  };

  beforeAll(async () => {
    const nvml = buildNvml("full");
    if (nvml.kind === "absent") throw new Error(nvml.reason);
    bed = await openBed({ disk: "tmpfs:512m" });
    machine = await bed.boot();
    await machine.waitRunning();
    plane = new StubControlPlane({ hostname: bed.gateway }).start();
    await machine.must(`cat >${LIBRARY}`, { input: readFileSync(nvml.path) });
    await machine.must(`cat >${STATE}`, { input: HEALTHY });
    const settings = [
      `NAVARCH_SERVER=${plane.base}`,
      `NAVARCH_KERNEL_LOG=${KERNEL_LOG}`,
      // Machines of the bed simulate their GPUs, unless somebody wants a library.
      "NAVARCH_FAKE_GPU=false",
      "NAVARCH_NVML_ENV=FAKE_NVML_STATE",
      `FAKE_NVML_STATE=${STATE}`,
    ];
    // As the installer would, before the package's own file.
    await machine.must("mkdir -p /etc/navarch-node && cat >/etc/navarch-node/environment", {
      input: `${settings.join("\n")}\n`,
    });
    await install(machine, "navarch-node", agentBinary());
  }, 240_000);

  afterAll(async () => {
    await plane?.stop();
    expect((await bed?.close()) ?? []).toEqual([]);
  }, 60_000);

  test("is enabled and running when the package is installed, and reports", async () => {
    expect(await machine.must(`systemctl is-enabled ${UNIT}`)).toBe("enabled");
    expect(await show("ActiveState")).toBe("active");
    await said("2 GPUs; reporting");
    await until("a report", 10_000, () => (plane.reports.length > 0 ? true : null));
    expect(await restarts()).toBe(0);
    const warnings = await machine.must(
      "journalctl -b -o cat _PID=1 | grep -c 'navarch.*:[0-9]' || :",
    );
    const version = Number((await machine.must("systemctl --version")).split(" ")[1]);
    // The two lines that are newer than 249 are passed over with a word each.
    expect(Number(warnings) > 0).toBe(version < 254);
    const mode = "stat -c '%a %U' /var/lib/navarch-node /etc/default/navarch-node";
    expect((await machine.must(mode)).split("\n")).toEqual(["700 root", "600 root"]);
  }, 60_000);

  test("hears the kernel log and can do nothing else", async () => {
    const pid = await show("MainPID");
    const caps = await machine.must(
      `grep -E 'Cap(Eff|Bnd)|NoNewPrivs|Seccomp:' /proc/${pid}/status`,
    );
    expect(caps.replaceAll(/\s+/g, " ")).toBe(
      "CapEff: 0000000400000000 CapBnd: 0000000400000000 NoNewPrivs: 1 Seccomp: 2",
    );
    const inside = (command: string) =>
      machine.run(`nsenter -t ${pid} -m -- setpriv --bounding-set=-all,+syslog sh -c '${command}'`);
    expect((await inside(": >/usr/probe")).stderr).toContain("Read-only file system");
    expect((await inside(": >/etc/navarch-node/probe")).stderr).toContain("Read-only");
    expect((await inside("ls /root/.ssh")).code).not.toBe(0);
    expect((await inside(": >/var/lib/navarch-node/probe")).code).toBe(0);
    machine.xid(79);
    await until("the finding", 10_000, () =>
      plane.findings.some((finding) => finding.kind === "xid" && finding.code === 79) ? true : null,
    );
  }, 60_000);

  test(
    `comes back after each of ${KILLS} kills`,
    async () => {
      const before = await restarts();
      for (let kill = 1; kill <= KILLS; kill += 1) {
        await machine.must(`systemctl kill -s KILL --kill-who=main ${UNIT}`);
        await until(`start ${kill}`, 60_000, async () =>
          (await restarts()) === before + kill && (await show("ActiveState")) === "active"
            ? true
            : null,
        );
      }
      expect(await show("Result")).toBe("success");
      await said("reporting");
      // No probe child of an earlier life is left.
      expect(await machine.must("pgrep -c -x navarch-node")).toBe("2");
    },
    60_000 + KILLS * 15_000,
  );

  test("is restarted by the watchdog when it stands still, and not for a hung driver", async () => {
    await dropIn("[Service]\nWatchdogSec=6\n");
    await machine.must(`systemctl restart ${UNIT}`);
    await active();
    const before = await restarts();
    await machine.must(
      `mv ${STATE} ${STATE}.was; printf '%sgpu.0.hang=1\\n' '${HEALTHY}' >${STATE}`,
    );
    await said("the driver does not answer", 60_000);
    const reports = plane.reports.length;
    // Three times the watchdog's patience, by the reports that go on meanwhile.
    const patientMs = performance.now() + 18_000;
    await until("it goes on reporting", 60_000, () =>
      performance.now() > patientMs && plane.reports.length > reports + 3 ? true : null,
    );
    expect(await restarts()).toBe(before);
    await machine.must(`mv ${STATE}.was ${STATE}`);
    await said("2 GPUs", 60_000);
    await machine.must(`systemctl kill -s STOP --kill-who=main ${UNIT}`);
    await until("the watchdog", 60_000, async () =>
      (await restarts()) === before + 1 ? true : null,
    );
    await active();
    const journal = await machine.must(`journalctl -b -o cat -u ${UNIT} | grep -i watchdog`);
    expect(journal).toContain("Watchdog timeout (limit 6s)!");
    await machine.must(`rm -r /etc/systemd/system/${UNIT}.d && systemctl daemon-reload`);
  }, 240_000);

  test("lives without its control plane and tells everything afterwards", async () => {
    const before = await restarts();
    await plane.stop();
    await said("the control plane is unreachable", 60_000);
    machine.xid(48);
    await said("findings kept", 60_000);
    await machine.must(`systemctl kill -s KILL --kill-who=main ${UNIT}`);
    await active();
    plane.start();
    await until("what was kept", 120_000, () =>
      plane.findings.some((finding) => finding.code === 48) ? true : null,
    );
    expect(await restarts()).toBe(before + 1);
  }, 240_000);

  test("lives with a full disk, and starts on it", async () => {
    await machine.fillDisk();
    const before = await restarts();
    const reports = plane.reports.length;
    await until("reports", 30_000, () => (plane.reports.length > reports + 5 ? true : null));
    await machine.must(`systemctl restart ${UNIT}`);
    await active();
    await said("reporting");
    machine.xid(63);
    await until("the finding", 20_000, () =>
      plane.findings.some((finding) => finding.code === 63) ? true : null,
    );
    expect(await restarts()).toBe(0);
    expect(before).toBeGreaterThanOrEqual(0);
    await machine.emptyDisk();
  }, 120_000);

  test("is there again after a reboot", async () => {
    await machine.reboot();
    await machine.waitRunning();
    await active();
    await said("reporting");
  }, 120_000);

  test("reboots and resets on order with its drop-in, and only with it", async () => {
    const order = (type: "reboot" | "gpu_reset", id: string) =>
      plane.push({ command_id: v.parse(CommandId, id), type, parameters: {}, fence: 1 });
    const answer = (id: string) =>
      until(`answer to ${id}`, 90_000, () => {
        const results = plane.reports.flatMap(({ report }) => report.results ?? []);
        return results.find((result) => result.command_id === id) ?? null;
      });
    // What a reset needs of the system: root's own power over devices, and /sys.
    const tool = "#!/bin/sh\ngrep CapEff /proc/self/status; mount | grep -c '/sys .*[(]ro,' || :\n";
    await machine.must("cat >/usr/bin/nvidia-smi && chmod 755 /usr/bin/nvidia-smi", {
      input: tool,
    });
    order("gpu_reset", "reset-1");
    expect((await answer("reset-1")).outcome).toBe("rejected");
    const example = "/usr/share/doc/navarch-node/examples/allow-commands.conf";
    await machine.must(`install -D ${example} /etc/systemd/system/${UNIT}.d/allow-commands.conf`);
    await machine.must(`systemctl daemon-reload && systemctl restart ${UNIT}`);
    await active();
    await said("reporting");
    order("gpu_reset", "reset-2");
    const reset = await answer("reset-2");
    // CAP_SYS_ADMIN, CAP_SYS_BOOT and CAP_SYSLOG.
    expect(reset).toMatchObject({ outcome: "succeeded", exit_code: 0 });
    expect(JSON.stringify(reset)).toContain("0000000400600000");
    const boot = await machine.bootId();
    order("reboot", "reboot-1");
    // Nothing that the agent says before the machine goes down is heard.
    plane.deaf = true;
    await machine.waitReboot(boot);
    plane.deaf = false;
    await machine.waitRunning();
    await active();
    expect((await answer("reboot-1")).outcome).toBe("succeeded");
    await machine.must(`rm -r /etc/systemd/system/${UNIT}.d`);
  }, 300_000);

  test("is upgraded without a fuss, and purged without a trace", async () => {
    await install(machine, "navarch-node", agentBinary());
    await active();
    await machine.must("dpkg --purge navarch-node");
    const places = "/etc /usr /var/lib /run /opt /root /home";
    const left = await machine.must(
      `find ${places} -iname '*navarch*' -not -path '*navarch-test*'`,
    );
    expect(left).toBe("");
    expect((await machine.run(`systemctl status ${UNIT}`)).code).not.toBe(0);
    expect((await machine.run("pgrep -x navarch-node")).code).toBe(1);
  }, 120_000);
});

const binary = join(ROOT, "dist/navarch");

describe.skipIf(isMissing)("navarch-control-plane.service", () => {
  const unit = "navarch-control-plane.service";
  let bed: Bed;
  let machine: Machine;
  const show = (key: string) => machine.must(`systemctl show ${unit} -p ${key} --value`);
  const active = () =>
    until("the unit is active", 30_000, async () =>
      (await show("ActiveState")) === "active" ? true : null,
    );

  beforeAll(async () => {
    bed = await openBed({ disk: "tmpfs:640m" });
    machine = await bed.boot();
    await machine.waitRunning();
    await install(machine, "navarch", binary);
  }, 240_000);
  afterAll(async () => {
    expect((await bed?.close()) ?? []).toEqual([]);
  }, 60_000);

  test("runs as its own user with its package's configuration, and answers", async () => {
    expect(await show("ActiveState")).toBe("active");
    const pid = await show("MainPID");
    expect(await machine.must(`stat -c %U /proc/${pid} /var/lib/navarch`)).toBe("navarch\nnavarch");
    const caps = await machine.must(`grep -E 'Cap(Eff|Bnd)' /proc/${pid}/status`);
    expect(caps.replaceAll(/\s+/g, " ")).toBe("CapEff: 0000000000000000 CapBnd: 0000000000000000");
    const ready = await machine.must(
      "curl -sS -o /dev/null -w '%{http_code}' 127.0.0.1:50051/readyz",
    );
    expect(ready).toBe("200");
    const token = await machine.must("stat -c '%a %U' /var/lib/navarch/admin.token");
    expect(token).toBe("600 navarch");
    expect(await machine.must("navarch list")).toBeString();
    const mounts = await machine.must(`grep ' /run/navarch/tmp ' /proc/${pid}/mounts`);
    expect(mounts).toContain("size=131072k");
    expect(mounts).not.toContain("noexec");
  }, 60_000);

  test("finishes what it began when killed, and is ended when it stands still", async () => {
    const pid = await show("MainPID");
    await machine.must(`kill -9 ${pid}`);
    await until("the next", 30_000, async () => ((await show("NRestarts")) === "1" ? true : null));
    await active();
    await machine.must(
      `mkdir -p /run/systemd/system/${unit}.d && cat >/run/systemd/system/${unit}.d/t.conf`,
      { input: "[Service]\nWatchdogSec=6\n" },
    );
    await machine.must(`systemctl daemon-reload && systemctl restart ${unit}`);
    await active();
    await machine.must(`systemctl kill -s STOP --kill-who=main ${unit}`);
    await until("the watchdog", 60_000, async () =>
      (await show("NRestarts")) === "1" ? true : null,
    );
    await active();
    await machine.must(`rm -r /run/systemd/system/${unit}.d && systemctl daemon-reload`);
  }, 120_000);

  test("starts where nothing may be run from /tmp and /run", async () => {
    await machine.must("mount -o remount,noexec /tmp && mount -o remount,noexec /run");
    for (const folder of ["/tmp", "/run"]) {
      const ran = await machine.run(`cp /bin/true ${folder}/true && ${folder}/true`);
      expect(ran.stderr).toContain("Permission denied");
    }
    await machine.must(`systemctl restart ${unit}`);
    await active();
    expect(await machine.must("curl -sS 127.0.0.1:50051/readyz")).toBe("ready");
  }, 60_000);

  test("comes up by itself once its configuration is fixed", async () => {
    const config = "/etc/navarch/config.yaml";
    await machine.must(`cp -p ${config} /run/was && echo 'servre: {}' >>${config}`);
    await machine.run(`systemctl restart ${unit}`);
    await until("tries", 30_000, async () => (Number(await show("NRestarts")) >= 3 ? true : null));
    await machine.must(`cp -p /run/was ${config}`);
    await active();
  }, 120_000);

  test("purges without a trace", async () => {
    await machine.must("dpkg --purge navarch");
    const left = await machine.must(
      "find /etc /usr /var /root /run -iname '*navarch*' -not -path '*navarch-test*'",
    );
    expect(left).toBe("");
    expect((await machine.run("getent passwd navarch || getent group navarch")).code).not.toBe(0);
  }, 60_000);
});
