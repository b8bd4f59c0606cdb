/**
 * Real machines: three are booted, every fault is done to one of them once and undone, and nothing
 * of them is left. What a fault looks like from outside is the point of it, so that is asserted.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openBed, type Bed } from "./bed.ts";
import { missesBed } from "./gate.ts";
import { readBanner, type Machine } from "./machine.ts";

const isMissing = await missesBed("throw-away machines");

/** Long enough for SSH to notice (`ServerAlive` of the test's own client), short for a test. */
const CUT_OFF_MS = 4_000;

describe.skipIf(isMissing)("openBed()", () => {
  let bed: Bed;
  let a: Machine;
  let b: Machine;
  let c: Machine;

  beforeAll(async () => {
    bed = await openBed({ disk: "tmpfs:96m" });
    const all = await bed.bootAll(3);
    const [first, second, third] = all;
    if (first === undefined || second === undefined || third === undefined) throw new Error("3");
    [a, b, c] = [first, second, third];
    await Promise.all(all.map((machine) => machine.waitSsh()));
  }, 180_000);

  afterAll(async () => {
    const left = await bed?.close();
    expect(left ?? []).toEqual([]);
  }, 60_000);

  const answers = async (machine: Machine) =>
    (await machine.ssh("true", { limitMs: CUT_OFF_MS })).code;

  test("boots machines whose systemd is content, each with an identity of its own", async () => {
    expect(await a.waitRunning()).toBe("running");
    const ids = await Promise.all(
      [a, b, c].map(async (one) => [
        await one.must("cat /etc/machine-id"),
        await one.bootId(),
        one.hostKeys.join(),
        one.address,
        await one.must("hostname"),
      ]),
    );
    for (let column = 0; column < 5; column += 1) {
      expect(new Set(ids.map((row) => row[column])).size).toBe(3);
    }
  });

  test("offers the host key that its sshd shows", async () => {
    expect(a.hostKeys).toHaveLength(1);
    expect(a.hostKeys[0]).toStartWith("ssh-ed25519 ");
    expect((await a.ssh("hostname")).stdout.trim()).toBe(a.name);
    const listed = await bed.provider.list();
    const all = listed.kind === "ok" ? listed.instances : [];
    expect(all.find((one) => one.id === a.id)?.hostKeys).toEqual(a.hostKeys);
  });

  test("has ubuntu with sudo, plain without, and root by key", async () => {
    expect((await a.ssh("sudo -n id -u")).stdout.trim()).toBe("0");
    expect((await a.ssh("sudo -n true", { user: "plain" })).code).not.toBe(0);
    expect((await a.ssh("id -un", { user: "plain" })).stdout.trim()).toBe("plain");
    expect((await a.ssh("id -u", { user: "root" })).stdout.trim()).toBe("0");
    expect((await a.ssh("true", { user: "nobody" })).code).toBe(255);
  });

  test("reaches this computer and nothing else", async () => {
    const server = Bun.listen({
      hostname: bed.gateway,
      port: 0,
      socket: { open: (socket) => void socket.end("here"), data: () => undefined },
    });
    const dial = (host: string, port: number) =>
      `timeout 3 bash -c 'exec 3<>/dev/tcp/${host}/${port}; cat <&3'`;
    expect(await a.must(dial(bed.gateway, server.port))).toBe("here");
    server.stop(true);
    expect((await a.run(dial("192.0.2.1", 80))).stderr).toContain("unreachable");
    expect((await a.run("ip route get 192.0.2.1")).code).not.toBe(0);
  });

  test("gives each machine a kernel log of its own, empty at each boot", async () => {
    b.xid(79);
    expect(await b.must("cat /run/navarch-test/kmsg")).toContain("Xid (PCI:0000:18:00): 79");
    expect(await a.must("cat /run/navarch-test/kmsg")).toBe("");
    await b.reboot();
    expect(await b.must("cat /run/navarch-test/kmsg")).toBe("");
    await b.waitSsh();
  });

  test("tells services of the machine to make up GPUs", async () => {
    const environment = await a.must("systemd-run -q --pipe --wait env");
    expect(environment).toContain("NAVARCH_FAKE_GPU=1");
    expect(environment).toContain("NAVARCH_KERNEL_LOG=/run/navarch-test/kmsg");
  });

  test("freeze(): TCP connects, nobody speaks; thaw() and it goes on", async () => {
    await b.freeze();
    expect(await readBanner(b.address, 1_000)).toBe("");
    await b.thaw();
    expect(await readBanner(b.address, 5_000)).toStartWith("SSH-2.0-");
  });

  test("cut(): refused at once, its disk as it was; start() and it is back", async () => {
    await b.must("echo kept >/var/kept; sync");
    const boot = await b.bootId();
    await b.cut();
    expect(await readBanner(b.address, 1_000)).toBe("");
    const listed = await bed.provider.list();
    const states = listed.kind === "ok" ? listed.instances : [];
    expect(states.find((one) => one.id === b.id)?.state).toBe("stopped");
    await b.start();
    await b.waitSsh();
    expect(await b.must("cat /var/kept")).toBe("kept");
    expect(await b.bootId()).not.toBe(boot);
  });

  test("powerOff(): off, and stays off until start()", async () => {
    await b.powerOff();
    expect(b.state).toBe("off");
    await b.start();
    await b.waitSsh();
  });

  test("unplug(), mute() and deafen(): cut off, and whole again", async () => {
    await c.unplug();
    expect(await answers(c)).not.toBe(0);
    await c.plug();
    expect(await answers(c)).toBe(0);
    await c.mute();
    expect(await answers(c)).not.toBe(0);
    await c.deafen();
    expect(await answers(c)).not.toBe(0);
    await c.heal();
    expect(await answers(c)).toBe(0);
    // A command that does not need the network runs throughout.
    await c.unplug();
    expect(await c.must("echo still here")).toBe("still here");
    await c.heal();
  }, 60_000);

  test("mute(): what it is told arrives, what it says does not", async () => {
    const count = () => c.must("cat /sys/class/net/eth0/statistics/rx_packets");
    await c.mute();
    const before = Number(await count());
    await readBanner(c.address, 500);
    expect(Number(await count())).toBeGreaterThan(before);
    await c.heal();
    await c.deafen();
    expect(await readBanner(c.address, 500)).toBe("");
    await c.heal();
  });

  test("lose(): a fifth of its packets, and SSH still works", async () => {
    await c.lose(20);
    // TCP asks again after 1, 2, 4 s: two losses in a row are nothing special.
    const ran = await c.ssh("echo through", { connectSeconds: 40 });
    expect(ran).toMatchObject({ code: 0, stdout: "through\n", stderr: "" });
    await c.heal();
  }, 60_000);

  test("slow(): two megabytes at 5 Mbit/s take seconds", async () => {
    const bytes = Buffer.alloc(2_000_000);
    const send = async (): Promise<number> => {
      const startMs = performance.now();
      const ran = await c.ssh("wc -c", { input: bytes });
      expect(ran.stdout.trim()).toBe("2000000");
      return performance.now() - startMs;
    };
    await c.slow("5mbit");
    expect(await send()).toBeGreaterThan(2_000);
    await c.heal();
    expect(await send()).toBeLessThan(2_000);
  }, 30_000);

  test("refuse(): a reset, at once", async () => {
    await c.refuse(22);
    const ran = await c.ssh("true");
    expect(ran.stderr).toContain("refused");
    await c.heal();
    expect(await answers(c)).toBe(0);
  });

  test("fillDisk(): no room, until emptyDisk()", async () => {
    await c.fillDisk();
    expect((await c.run("head -c 1M /dev/zero >/var/more")).stderr).toContain("No space left");
    await c.emptyDisk();
    await c.must("echo room >/var/more");
  });

  test("reboot() by the provider: hard, once, and another boot", async () => {
    const before = await a.bootId();
    const fence = { nodeId: a.name, fence: 1, sessionId: null };
    expect(await bed.provider.reboot(a.id, fence)).toEqual({ kind: "accepted" });
    const second = await a.waitReboot(before);
    await a.waitSsh();
    expect(await a.bootId()).toBe(second);
  });

  test("a frozen machine can be cut, and ends when it is terminated", async () => {
    const d = await bed.boot();
    await d.waitSsh();
    await d.freeze();
    await bed.terminate(d);
    expect(existsSync(d.root)).toBe(false);
    const left = (await bed.left()).filter((line) => line.includes(d.spotName));
    expect(left).toEqual([]);
  });

  test("puts a credential where only root reads it", async () => {
    const d = await bed.boot({}, "nvt.secret");
    expect(await d.must("cat /etc/navarch-node/credential")).toBe("nvt.secret");
    expect(await d.must("stat -c '%a %U' /etc/navarch-node/credential")).toBe("400 root");
    await bed.terminate(d);
    expect(readFileSync(join(d.folder, "console.log"), "utf8")).not.toContain("nvt.secret");
  });
});
