/**
 * The agent under its unit, killed a hundred times in a row: each time the moment there is a
 * process to kill, so that nothing that counts starts ever forgets one. The unit never gives up,
 * what the kernel said is told, and nothing of the earlier lives is left. And the agent whose loop
 * stands still in a call that does not return: the process is well, and only its progress is not.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { makeDeb } from "../../build/deb/package.ts";
import { KERNEL_LOG } from "../fixture/machine/script.ts";
import { agentBinary } from "../agent/binary.ts";
import { StubControlPlane } from "../agent/control-plane.ts";
import { buildNvml } from "../fixture/nvml/build.ts";
import { until } from "../fixture/plane/plane.ts";
import { type Bed, openBed } from "../real/machine/bed.ts";
import { missesBed } from "../real/machine/gate.ts";
import type { Machine } from "../real/machine/machine.ts";

const isMissing = await missesBed("a hundred kills of the agent's unit");

const UNIT = "navarch-node.service";
const KILLS = 100;
const LIBRARY = "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1";
const STATE = "/etc/fake-nvml-state";
/**
 * Inside the machine, because a call from outside for each would give the unit time to recover.
 * Every other kill comes as soon as there is a process, the rest once it has said that it is ready.
 */
const KILL = `last=0
for kill in $(seq ${KILLS}); do
  for try in $(seq 600); do
    pid=$(systemctl show ${UNIT} -p MainPID --value)
    state=$(systemctl show ${UNIT} -p ActiveState --value)
    [ "$state" = failed ] && { echo "failed at kill $kill"; exit 1; }
    ready=yes
    [ $((kill % 2)) -eq 0 ] && [ "$state" != active ] && ready=no
    [ "$pid" -gt 0 ] && [ "$pid" != "$last" ] && [ $ready = yes ] && break
    sleep 0.1
  done
  kill -9 "$pid" || { echo "nothing to kill at $kill"; exit 1; }
  last=$pid
done`;

describe.skipIf(isMissing)(`${UNIT}, killed ${KILLS} times in a row`, () => {
  let bed: Bed;
  let machine: Machine;
  let plane: StubControlPlane;
  const show = (key: string) => machine.must(`systemctl show ${UNIT} -p ${key} --value`);

  beforeAll(async () => {
    bed = await openBed({ disk: "tmpfs:512m" });
    machine = await bed.boot();
    await machine.waitRunning();
    plane = new StubControlPlane({ hostname: bed.gateway }).start();
    const nvml = buildNvml("full");
    if (nvml.kind === "absent") throw new Error(nvml.reason);
    await machine.must(`cat >${LIBRARY}`, { input: readFileSync(nvml.path) });
    await machine.must(`echo count=2 >${STATE}`);
    const settings = [
      `NAVARCH_SERVER=${plane.base}`,
      `NAVARCH_KERNEL_LOG=${KERNEL_LOG}`,
      "NAVARCH_FAKE_GPU=false",
      "NAVARCH_NVML_ENV=FAKE_NVML_STATE",
      `FAKE_NVML_STATE=${STATE}`,
    ];
    await machine.must("mkdir -p /etc/navarch-node && cat >/etc/navarch-node/environment", {
      input: `${settings.join("\n")}\n`,
    });
    const { bytes } = makeDeb("navarch-node", readFileSync(agentBinary()), {
      version: "0.0.1",
      seconds: 0,
    });
    await machine.must("cat >/var/package.deb", { input: bytes });
    await machine.must("dpkg -i /var/package.deb && rm /var/package.deb");
  }, 240_000);

  afterAll(async () => {
    await plane?.stop();
    expect((await bed?.close()) ?? []).toEqual([]);
  }, 60_000);

  test("comes back each time, and reports", async () => {
    const active = () =>
      until("the unit is active", 60_000, async () =>
        (await show("ActiveState")) === "active" ? true : null,
      );
    await active();
    const before = Number(await show("NRestarts"));
    await machine.must(KILL, { limitMs: 500_000 });
    await until("the last start", 60_000, async () =>
      Number(await show("NRestarts")) === before + KILLS ? true : null,
    );
    await active();
    expect(await show("Result")).toBe("success");
    const journal = await machine.must(
      `journalctl -b -o cat -u ${UNIT} | grep -ci 'start request repeated\\|start-limit' || :`,
    );
    expect(journal).toBe("0");
    machine.xid(63);
    await until("the finding", 30_000, () =>
      plane.findings.some((finding) => finding.code === 63) ? true : null,
    );
    // One finding each, although a hundred lives read the same kernel log.
    expect(plane.findings.filter((finding) => finding.code === 63)).toHaveLength(1);
    // The agent itself and its own probe child, and nothing of an earlier life.
    const count = Number(await machine.must("pgrep -c -x navarch-node"));
    expect(count).toBeLessThanOrEqual(2);
    const spool = await machine.must("ls /var/lib/navarch-node | wc -l");
    expect(Number(spool)).toBeLessThan(20);
  }, 600_000);

  test("is restarted when its loop is stuck in a call that does not return", async () => {
    const fresh = "/var/lib/navarch-node/probe.json.new";
    await machine.must(
      `mkdir -p /run/systemd/system/${UNIT}.d && cat >/run/systemd/system/${UNIT}.d/t.conf`,
      { input: "[Service]\nWatchdogSec=6\n" },
    );
    await machine.must(`systemctl daemon-reload && systemctl restart ${UNIT}`);
    await until("the unit is active", 60_000, async () =>
      (await show("ActiveState")) === "active" ? true : null,
    );
    const before = Number(await show("NRestarts"));
    // What it remembers is written there, and a third GPU is remembered: opening a pipe that
    // nobody reads waits for ever.
    await machine.must(`rm -f ${fresh} && mkfifo ${fresh} && echo count=3 >${STATE}`);
    await until("the watchdog", 120_000, async () =>
      Number(await show("NRestarts")) > before ? true : null,
    );
    const journal = await machine.must(`journalctl -b -o cat -u ${UNIT} | grep -i watchdog`);
    expect(journal).toContain("Watchdog timeout (limit 6s)!");
    // With the disk fixed it goes on, whichever life of it that is.
    await machine.must(`rm -f ${fresh}`);
    const reports = plane.reports.length;
    await until("it reports", 90_000, () => (plane.reports.length > reports + 3 ? true : null));
    await until("the unit is active", 60_000, async () =>
      (await show("ActiveState")) === "active" ? true : null,
    );
    expect(await show("Result")).toBe("success");
  }, 300_000);
});
