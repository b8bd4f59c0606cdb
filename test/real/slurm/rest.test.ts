/** slurmrestd of two releases: reads, tokens, writes, and the commands beside it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { until } from "../../fixture/plane/plane.ts";
import { proveVerbs } from "../../world/slurm/verb.contract.ts";
import { openSlurm, type SlurmCluster } from "./cluster.ts";
import { missesSlurm, SLURM_VERSIONS } from "./package.ts";
import { clientOf, writeToken } from "./sink-bed.ts";

const LIMIT_MS = 120_000;
const OFFERED = {
  "22.05": "slurmrestd v0.0.38, Slurm 22.05.8",
  "24.11": "slurmrestd v0.0.42, Slurm 24.11.5",
};

for (const version of SLURM_VERSIONS) {
  const isMissing = await missesSlurm(`slurmrestd ${version}`, version);
  describe.skipIf(isMissing)(`slurmrestd ${version}`, () => {
    let opened: SlurmCluster | null = null;
    const slurm = (): SlurmCluster => {
      if (opened === null) throw new Error("no cluster");
      return opened;
    };
    beforeAll(async () => {
      opened = await openSlurm({ version, nodes: 2, cloud: 1, isRest: true });
      await writeToken(opened);
    }, LIMIT_MS);
    afterAll(() => opened?.close(), LIMIT_MS);

    test(
      "S37: nodes and jobs over the socket without a token, and over HTTP with one",
      async () => {
        const job = await slurm().sbatch(["-w", "n1", "--gres=gpu:4"], "sleep 600");
        const later = await slurm().sbatch(["--array=0-9%2", "--begin=now+1hour"], "true");
        await slurm().waitJob(job, "RUNNING");
        await slurm().scontrol("update", "nodename=n1", "state=drain", "reason=maint by alice");
        const [socket, token] = [clientOf(slurm(), "socket"), clientOf(slurm(), "token")];
        const nodes = await socket.nodes();
        expect(socket.describe()).toBe(OFFERED[version]);
        const list = nodes.kind === "ok" ? nodes.value : [];
        expect(list.map(({ name }) => name).sort()).toEqual(["c0", "n0", "n1"]);
        expect(list.find(({ name }) => name === "n1")).toMatchObject({
          ...{ flags: ["DRAIN"], reason: "maint by alice", reasonBy: "root", gres: "gpu:h100:8" },
        });
        const jobs = await token.jobs();
        const found = (id: string) => {
          return jobs.kind === "ok" ? jobs.value.find((one) => one.id === id) : jobs;
        };
        expect(found(job)).toMatchObject({ state: "RUNNING", nodes: ["n1"], gpus: 4 });
        expect(found(later)).toMatchObject({ state: "PENDING", reason: "BeginTime", tasks: 2 });
        const two = await token.nodes(["n0", "n9"]);
        expect(two).toMatchObject({ kind: "ok", value: [{ name: "n0" }] });
      },
      LIMIT_MS,
    );

    test(
      "S37: a wrong token is refused or failed, and the next one is read",
      async () => {
        const token = clientOf(slurm(), "token");
        writeFileSync(`${slurm().folder}/token`, "not.a.token");
        expect((await token.nodes()).kind).not.toBe("ok");
        expect((await token.jobs()).kind).not.toBe("ok");
        const short = await slurm().must("scontrol", "token", "lifespan=1", "username=root");
        writeFileSync(`${slurm().folder}/token`, short);
        await until("the token's end", 10_000, async () => {
          const answer = await token.nodes();
          const isTold = answer.kind !== "ok" && /; the token of .* expired/.test(answer.message);
          return isTold || null;
        });
        await writeToken(slurm());
        expect((await token.nodes()).kind).toBe("ok");
      },
      LIMIT_MS,
    );

    proveVerbs(`S37: verbs over slurmrestd ${version} with a token`, () => ({
      client: clientOf(slurm(), "token"),
      submit: (node, seconds) => slurm().sbatch(["--exclusive", "-w", node], `sleep ${seconds}`),
      cancel: async (id) => void (await slurm().must("scancel", id)),
      cut: (node) => slurm().stopNode(node),
      boot: async (node, isNew) => slurm().startNode(node, { isBoot: isNew }),
      until: (holds) => {
        const look = async () => (await holds()) || null;
        return until("the bed", 40_000, look).catch(() => false);
      },
    }));
  });
}
