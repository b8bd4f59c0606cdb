/**
 * The hardened unit on a machine with systemd: without the drop-in the agent takes no upgrade, with
 * it the agent does, and restarts by the manager's own hand.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { type Bed, openBed } from "../real/machine/bed.ts";
import { missesBed } from "../real/machine/gate.ts";
import type { Machine } from "../real/machine/machine.ts";
import { buildAgent, cleanUp, Rig, TOKEN, until } from "./rig.ts";

const isMissing = await missesBed("upgrades on a real machine");
const UNIT = "navarch-node.service";

describe.skipIf(isMissing)("an upgrade under the hardened unit", () => {
  let bed: Bed;
  let machine: Machine;
  let rig: Rig;

  beforeAll(async () => {
    const old = await buildAgent("1.0.0");
    const young = await buildAgent("1.1.0");
    bed = await openBed({ disk: "tmpfs:768m" });
    machine = await bed.boot();
    await machine.waitRunning();
    rig = await new Rig(bed.gateway).start();
    rig.release("1.1.0", young);
    const put = async (path: string, input: Uint8Array | string) => {
      await machine.must(`mkdir -p $(dirname ${path}) && cat >${path}`, { input });
    };
    await put("/usr/local/bin/navarch-node", readFileSync(old));
    await machine.must("chmod 755 /usr/local/bin/navarch-node");
    await put(`/etc/systemd/system/${UNIT}`, readFileSync(join(ROOT, "systemd", UNIT)));
    const settings = [`NAVARCH_SERVER=${rig.url}`, `NAVARCH_AUTH_TOKEN=${TOKEN}`, "NODE_NAME=m1"];
    await put("/etc/navarch-node/environment", `${settings.join("\n")}\n`);
    await put("/etc/default/navarch-node", "NAVARCH_NODE_FLAGS=--fake-gpus=2\n");
    await machine.must(`systemctl daemon-reload && systemctl start ${UNIT}`);
    await rig.serves("m1", "1.0.0");
  }, 120_000);

  afterAll(async () => {
    await rig?.kill();
    cleanUp();
    expect((await bed?.close()) ?? []).toEqual([]);
  }, 60_000);

  test("is refused without the drop-in, and carried out with it", async () => {
    await rig.call("POST", "/upgrade", { to: "1.1.0" });
    const alone = await until("it is over", async () => {
      const upgrade = await rig.upgrade();
      return upgrade.state === "done" ? upgrade : null;
    });
    expect(alone.nodes.map(({ why }) => why)).toEqual(["its agent takes no upgrades"]);
    const conf = readFileSync(join(ROOT, "systemd/allow-upgrades.conf"));
    const folder = `/etc/systemd/system/${UNIT}.d`;
    await machine.must(`mkdir -p ${folder} && cat >${folder}/allow-upgrades.conf`, { input: conf });
    await machine.must(`systemctl daemon-reload && systemctl restart ${UNIT}`);
    await until("it can be upgraded", async () => {
      const { nodes } = await rig.upgrade();
      return nodes.every(({ why }) => why === null) ? true : null;
    });
    await rig.serves("m1", "1.0.0");
    await rig.call("POST", "/upgrade", { to: "1.1.0" });
    await rig.reaches("running", "m1", "upgraded");
    expect(await machine.must("navarch-node --version")).toBe("navarch-node 1.1.0");
    expect(await machine.must("stat -c '%a %U' /usr/local/bin/navarch-node")).toBe("755 root");
    expect(Number(await machine.must(`systemctl show ${UNIT} -p NRestarts --value`))).toBe(1);
  }, 90_000);
});
