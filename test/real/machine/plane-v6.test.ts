/**
 * The guide's own bootstrap fragment, laid over its pool as it is written: on machines that reach
 * nothing but the control plane, with every agent shown its credential. Only the host of the
 * download, the key's path and the machines behind the provider's name are ours.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { buildStale } from "../../fixture/plane/plane.ts";
import { missesBed } from "./gate.ts";
import { BedPlane } from "./plane.ts";

const isMissing = await missesBed("the guide's V6 pool on machines");

const V6 = readFileSync(join(import.meta.dir, "../../fixture/config/v6.yaml"), "utf8");

describe.skipIf(isMissing)("the guide's V6 pool", () => {
  let on: BedPlane;
  beforeAll(async () => {
    await buildStale();
    on = await BedPlane.open({
      whole: ({ bed }) => ({
        providers: { lambda: { type: "machine", state_dir: bed.stateDir } },
        pools: [
          {
            name: "k8s-gpu-workers",
            provider: "lambda",
            instance_type: "gpu_8x_h100_sxm5",
            region: "us-west-2",
            ssh_keys: [bed.publicKey],
            scaling: { min_nodes: 2, max_nodes: 50 },
            health: { unhealthy_threshold: 2, auto_replace: true },
          },
        ],
      }),
      over: ({ bed, port }) =>
        V6.replace("https://github.com", `http://${bed.gateway}:${port}`).replace(
          "/etc/navarch/ssh-key",
          bed.keyPath,
        ),
    });
  }, 300_000);
  afterAll(async () => expect((await on?.close()) ?? []).toEqual([]), 60_000);

  test("serves as written, with auth on", async () => {
    const nodes = await on.waitServing(2);
    for (const { node_id, instance_id, pool } of nodes) {
      expect(pool).toBe("k8s-gpu-workers");
      const [attempt, ...more] = await on.attempts(node_id);
      expect([attempt?.state, more.length]).toEqual(["done", 0]);
      const commands = attempt?.steps.filter(({ kind }) => kind === "command") ?? [];
      expect(commands.map(({ exit_code }) => exit_code)).toEqual([0, 0, 0]);
      const machine = await on.bed.machine(instance_id ?? "");
      const unit = await machine.must("cat /etc/systemd/system/navarch-node.service");
      expect(unit).toContain(`--server http://${on.bed.gateway}:${on.port} --node-id ${node_id}`);
      // Who shows no credential, or another node's, is refused: auth is on.
      expect(await machine.must("stat -c %a /etc/navarch-node/token")).toBe("600");
    }
    expect((await on.plane.fetch("/api/v1/nodes", { token: null })).status).toBe(401);
  }, 120_000);
});
