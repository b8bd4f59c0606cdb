/** The user data given to cloud-init itself, on a machine of its own image. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildProduct, PRODUCTS, ROOT } from "../../build/product.ts";
import { openInstall } from "../../reconciler/http/route/install.ts";
import { openBed, type Bed } from "../real/machine/bed.ts";
import { MORE_PACKAGES, missesBed } from "../real/machine/gate.ts";
import type { Machine } from "../real/machine/machine.ts";
import { TOKEN } from "./bench.ts";
import { openInstallApp } from "./serve.ts";

const packages = MORE_PACKAGES;
const isMissing = await missesBed("cloud-init on a machine", { packages });

const USER_DATA = readFileSync(join(ROOT, "bootstrap/install/cloud-init.yaml"), "utf8");

describe.skipIf(isMissing)("cloud-init.yaml on a machine", () => {
  const folder = mkdtempSync(join(tmpdir(), "navarch-cloud-"));
  let bed: Bed;
  let machine: Machine;
  let server: Bun.Server<undefined>;

  beforeAll(async () => {
    bed = await openBed({ packages });
    machine = await bed.boot();
    const product = PRODUCTS.find(({ name }) => name === "navarch-node");
    if (product === undefined) throw new Error("no navarch-node");
    const stamp = { version: "0.1.0", commit: "test", date: "unknown" };
    const target = `bun-linux-${process.arch}`;
    await buildProduct(product, { outdir: folder, target, executable: null, stamp });
    const from = { state: folder, beside: folder, version: "0.1.0", architecture: process.arch };
    const seed = () => crypto.getRandomValues(new Uint8Array(32));
    const app = openInstallApp(openInstall({ ...from, seed, server: () => null }));
    server = Bun.serve({ hostname: bed.gateway, port: 0, fetch: (request) => app.fetch(request) });
    await machine.waitRunning();
  }, 300_000);

  afterAll(async () => {
    await server?.stop(true);
    const left = await bed?.close();
    rmSync(folder, { recursive: true, force: true });
    expect(left ?? []).toEqual([]);
  }, 60_000);

  test("is what cloud-init calls valid", async () => {
    await machine.must("cat >/run/user-data", { input: USER_DATA });
    const ran = await machine.run("cd / && cloud-init schema --config-file /run/user-data");
    expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining("Valid cloud-config")]);
  });

  test("brings up a running agent at first boot, and leaves no token behind", async () => {
    const text = USER_DATA.replaceAll("CONTROL_PLANE", `http://${bed.gateway}:${server.port}`)
      .replaceAll("JOIN_TOKEN", TOKEN)
      .replaceAll("POOL", "training");
    const seed = "/var/lib/cloud/seed/nocloud";
    await machine.must(`mkdir -p ${seed}`);
    await machine.must(`cat >${seed}/user-data`, { input: text });
    await machine.must(`echo 'instance-id: i-1' >${seed}/meta-data`);
    const config = "datasource_list: [NoCloud]\nlocale: false\nnetwork: {config: disabled}\n";
    await machine.must("cat >/etc/cloud/cloud.cfg.d/90-test.cfg", { input: config });
    await machine.reboot();
    await machine.must("cd / && cloud-init status --wait >&2", { limitMs: 120_000 });
    const log = await machine.must("cat /var/log/cloud-init-output.log");
    expect(log).toContain("installed navarch-node 0.1.0");
    expect(await machine.must("systemctl is-active navarch-node")).toBe("active");
    expect(await machine.must("cat /etc/navarch-node/environment")).toContain("--pool=training");
    expect(await machine.must("stat -c %a /etc/navarch-node/join-token")).toBe("600");
    expect((await machine.run("ls /run/navarch-install")).code).not.toBe(0);
    expect(log).not.toContain(TOKEN);
  }, 180_000);
});
