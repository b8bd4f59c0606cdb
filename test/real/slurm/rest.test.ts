/** slurmrestd of a real Slurm: reads, tokens, and what it cannot write. */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { openSlurm } from "./cluster.ts";
import { missesSlurm } from "./package.ts";
import { restBySocket, restByToken } from "./sink-bed.ts";

const isMissing = await missesSlurm("slurmrestd");
const LIMIT_MS = 120_000;

test.skipIf(isMissing)(
  "S37: slurmrestd 22.05 over its socket without a token, and over HTTP with one",
  async () => {
    await using slurm = await openSlurm({ nodes: 2, cloud: 1, isRest: true });
    const job = await slurm.sbatch(["-N2", "--gres=gpu:4"], "sleep 60");
    const later = await slurm.sbatch(["--array=0-9%2", "--begin=now+1hour"], "true");
    await slurm.waitJob(job, "RUNNING");
    await slurm.scontrol("update", "nodename=n1", "state=drain", "reason=maint by alice");
    const socket = restBySocket(slurm, null);
    const token = await restByToken(slurm, null);
    const nodes = await socket.nodes();
    expect(socket.describe()).toBe("slurmrestd v0.0.38, Slurm 22.05.8");
    expect(nodes.kind === "ok" && nodes.value.map(({ name }) => name).sort()).toEqual([
      ...["c0", "n0", "n1"],
    ]);
    expect(nodes.kind === "ok" && nodes.value.find(({ name }) => name === "n1")).toMatchObject({
      ...{ flags: ["DRAIN"], reason: "maint by alice", reasonBy: "root", gres: "gpu:h100:8" },
    });
    const jobs = await token.jobs();
    const found = (id: string) => {
      return jobs.kind === "ok" ? jobs.value.find((one) => one.id === id) : jobs;
    };
    expect(found(job)).toMatchObject({ state: "RUNNING", nodes: ["n0", "n1"], gpus: 8 });
    expect(found(later)).toMatchObject({ state: "PENDING", reason: "BeginTime", tasks: 2 });
    const two = await token.nodes(["n0", "n9"]);
    expect(two).toMatchObject({ kind: "ok", value: [{ name: "n0" }] });
    expect(await socket.update(["n0"], { state: "undrain" })).toEqual({
      kind: "refused",
      message: "v0.0.38 changes no nodes, and scontrol is not here",
    });
    writeFileSync(`${slurm.folder}/token`, "not.a.token");
    expect(await token.nodes()).toMatchObject({ kind: expect.stringMatching(/refused|failed/) });
    writeFileSync(`${slurm.folder}/token`, await slurm.token("root"));
    expect((await token.nodes()).kind).toBe("ok");
  },
  LIMIT_MS,
);
