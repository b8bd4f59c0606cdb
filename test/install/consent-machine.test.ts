/**
 * An agent that came by `curl | sh` on a machine with systemd: it takes no upgrade until the script
 * was run with `--allow-upgrades`, takes one then, and none again once that is taken back.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { appendFileSync, copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { digestOf } from "../../reconciler/http/route/release-folder.ts";
import { NODE_UNIT } from "../../bootstrap/install/script.ts";
import { type Bed, openBed } from "../real/machine/bed.ts";
import { missesBed } from "../real/machine/gate.ts";
import type { Machine } from "../real/machine/machine.ts";
import { buildAgent, cleanUp, Rig, until } from "../upgrade/rig.ts";

const isMissing = await missesBed("consent to upgrades on a machine");
const NONE = "its agent takes no upgrades";

describe.skipIf(isMissing)("curl | sh, then an upgrade by order", () => {
  let bed: Bed;
  let machine: Machine;
  let rig: Rig;

  /** A release that the installer takes, too. */
  function publish(version: string, binary: string): void {
    rig.release(version, binary);
    const folder = join(rig.state, "release", version);
    copyFileSync(join(ROOT, "systemd/navarch-node.service"), join(folder, "navarch-node.service"));
    writeFileSync(join(folder, "VERSION"), `${version}\n`);
    const line = `${digestOf(NODE_UNIT)}  navarch-node.service\n`;
    appendFileSync(join(folder, "SHA256SUMS"), line);
  }

  const install = (flags: string): Promise<string> =>
    machine.must(`curl -fsSL ${rig.url}/install.sh | sh -s -- --version 1.0.0 ${flags} 2>&1`);

  /** Whether the agent, as systemd runs it, could put another program in its own place. */
  async function writable(): Promise<boolean> {
    const pid = "$(systemctl show -p MainPID --value navarch-node)";
    const look = `nsenter -t ${pid} -m test -w /usr/local/bin && echo yes || echo no`;
    return (await machine.must(look)) === "yes";
  }

  beforeAll(async () => {
    const old = await buildAgent("1.0.0");
    const young = await buildAgent("1.1.0");
    bed = await openBed({ disk: "tmpfs:768m" });
    machine = await bed.boot();
    await machine.waitRunning();
    rig = await new Rig(bed.gateway).start();
    publish("1.0.0", old);
    publish("1.1.0", young);
    const own = "NODE_NAME=m1\nNAVARCH_NODE_FLAGS=--fake-gpus=2\n";
    await machine.must("cat >/etc/default/navarch-node", { input: own });
    const made = await rig.call("POST", "/join-tokens", { pool: "p" });
    const { token } = (await made.json()) as { token: string };
    await install(`--join-token ${token}`);
    await rig.serves("m1", "1.0.0");
  }, 180_000);

  afterAll(async () => {
    await rig?.kill();
    cleanUp();
    expect((await bed?.close()) ?? []).toEqual([]);
  }, 60_000);

  test("off as installed, on with the flag, off again when it is taken back", async () => {
    await rig.call("POST", "/upgrade", { to: "1.1.0" });
    const alone = await until("it is over", async () => {
      const upgrade = await rig.upgrade();
      return upgrade.state === "done" ? upgrade : null;
    });
    expect(alone.nodes.map(({ why }) => why)).toEqual([NONE]);
    expect(await writable()).toBe(false);
    expect(await install("--allow-upgrades")).toContain("allow-upgrades.conf");
    await until("it can be upgraded", async () => {
      const { nodes } = await rig.upgrade();
      return nodes.every(({ why }) => why !== NONE) ? true : null;
    });
    expect(await writable()).toBe(true);
    await rig.serves("m1", "1.0.0");
    await rig.call("POST", "/upgrade", { to: "1.1.0" });
    await rig.reaches("running", "m1", "upgraded");
    expect(await machine.must("navarch-node --version")).toBe("navarch-node 1.1.0");
    // The installer goes on where the order has left the machine, back to what it is asked for.
    expect(await install("--no-allow-upgrades")).toContain("upgraded navarch-node from 1.1.0");
    expect(await machine.must("navarch-node --version")).toBe("navarch-node 1.0.0");
    await rig.serves("m1", "1.0.0");
    expect(await writable()).toBe(false);
    await install("--uninstall");
    const left = "find / -xdev -name '*navarch-node*' -not -path '/proc/*' 2>/dev/null";
    expect(await machine.must(`${left} | grep -v /etc/default || true`)).toBe("");
  }, 120_000);
});
