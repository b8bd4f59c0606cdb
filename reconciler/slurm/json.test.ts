import { expect, test } from "bun:test";
import { readJobs, readNodes } from "./json.ts";

/** As Slurm 24.11.5 writes a number. */
const set = (number: number) => ({ set: true, infinite: false, number });
const UNSET = { set: false, infinite: false, number: 0 };

/** The fields that are read, as slurmrestd of 22.05.8 and of 24.11.5 wrote them. */
const NODE_38 = {
  ...{ name: "n0", state: "idle", state_flags: ["DRAIN"], boot_time: 1_795_394_680 },
  ...{ slurmd_start_time: 1_795_436_484, address: "127.0.0.1", hostname: "vm" },
  ...{ partitions: ["compute"], gres: "gpu:h100:8", features: "cloud,h100" },
  ...{ reason: "maint by alice", reason_set_by_user: "root" },
};
const NODE_42 = {
  ...NODE_38,
  ...{ state: ["IDLE", "DRAIN"], state_flags: undefined, boot_time: set(1_795_394_680) },
  ...{ slurmd_start_time: set(1_795_436_484), features: ["cloud", "h100"] },
};
const JOB_38 = {
  ...{ job_id: 1, job_state: "RUNNING", array_job_id: 0, array_task_id: null, user_name: "root" },
  ...{ array_task_string: "", name: "wrap", partition: "compute", state_reason: "None" },
  ...{ nodes: "n[0-1]", node_count: 2, tres_alloc_str: "cpu=2,node=2", features: "" },
  ...{ tres_req_str: "cpu=2,mem=2000M,node=2,billing=2", tres_per_node: "gres:gpu:4" },
  ...{ submit_time: 1_795_436_549, start_time: 1_795_436_550, tres_per_job: "" },
};
const JOB_42 = {
  ...JOB_38,
  ...{ job_state: ["RUNNING"], array_job_id: set(0), array_task_id: UNSET, node_count: set(2) },
  ...{ submit_time: set(1_795_436_549), start_time: set(1_795_436_550) },
  ...{ tres_per_node: "gres/gpu:4" },
};
const ARRAY_42 = {
  ...JOB_42,
  ...{ job_id: 2, job_state: ["PENDING"], array_job_id: set(2), array_task_string: "0-9%2" },
  ...{ state_reason: "Resources", nodes: "", node_count: set(1), tres_per_node: "gres/gpu:8" },
};

const jobs = (...list: unknown[]) => readJobs({ jobs: list });
const nodes = (...list: unknown[]) => readNodes({ nodes: list });

test("S37: a node reads the same from v0.0.38 and v0.0.42", () => {
  expect(nodes(NODE_38)).toEqual(nodes(NODE_42));
  expect(nodes(NODE_38)).toEqual([
    {
      ...{ name: "n0", base: "IDLE", flags: ["DRAIN"], reason: "maint by alice" },
      ...{ reasonBy: "root", bootTime: 1_795_394_680_000, slurmdStartedAt: 1_795_436_484_000 },
      ...{ address: "127.0.0.1", hostname: "vm", partitions: ["compute"], gres: "gpu:h100:8" },
      ...{ features: ["cloud", "h100"], reservation: null },
    },
  ]);
  const never = nodes({ ...NODE_42, boot_time: set(0), reason: "", gres: "" });
  expect(never?.[0]).toMatchObject({ bootTime: null, reason: null, reasonBy: null, gres: null });
});

test("S37: states are one word with flags, a list, or joined words", () => {
  const read = (state: unknown, flags?: unknown) => {
    const node = nodes({ ...NODE_42, state, state_flags: flags })?.[0];
    return [node?.base, ...(node?.flags ?? [])].join(" ");
  };
  expect(read("down", ["CLOUD", "POWERED_DOWN"])).toBe("DOWN CLOUD POWERED_DOWN");
  expect(read(["DRAIN", "ALLOCATED"])).toBe("ALLOCATED DRAIN");
  expect(read("IDLE+DRAIN")).toBe("IDLE DRAIN");
  expect(read("surprise")).toBe("UNKNOWN SURPRISE");
});

test("S37: a job reads the same from v0.0.38 and v0.0.42", () => {
  expect(jobs(JOB_38)).toEqual(jobs(JOB_42));
  expect(jobs(JOB_38)?.[0]).toMatchObject({
    ...{ id: "1", state: "RUNNING", nodes: ["n0", "n1"], gpus: 8, nodeCount: 2, tasks: 1 },
    ...{ reason: null, submittedAt: 1_795_436_549_000, startedAt: 1_795_436_550_000 },
  });
  expect(jobs({ ...JOB_42, job_state: ["COMPLETED", "COMPLETING"] })?.[0]?.state).toBe(
    "COMPLETED+COMPLETING",
  );
});

test("S43: a pending array is one row with the tasks that may start", () => {
  expect(jobs(ARRAY_42)?.[0]).toMatchObject({
    ...{ id: "2", state: "PENDING", reason: "Resources", nodes: [], gpus: 8, tasks: 2 },
    startedAt: null,
  });
  const tasks = (text: string) => jobs({ ...ARRAY_42, array_task_string: text })?.[0]?.tasks;
  expect(tasks("0-9999")).toBe(10_000);
  expect(tasks("1,3,10-20:5")).toBe(5);
  expect(tasks("0-3,...")).toBe(4);
  expect(tasks("9-3%x")).toBe(1);
  const task = jobs({ ...JOB_42, array_job_id: set(2), array_task_id: set(7) });
  expect(task?.[0]?.id).toBe("2_7");
  const part = { ...JOB_42, job_id: 3, het_job_id: set(2), het_job_offset: set(1) };
  expect(jobs(part)?.[0]?.id).toBe("2+1");
  expect(jobs({ ...part, het_job_id: 2, het_job_offset: 0 })?.[0]?.id).toBe("2+0");
  expect(jobs({ ...part, het_job_id: set(0), het_job_offset: set(0) })?.[0]?.id).toBe("3");
});

test("S43: GPUs come from counted TRES, else from what the job asked for", () => {
  const gpus = (more: object) => jobs({ ...JOB_42, tres_per_node: "", ...more })?.[0]?.gpus;
  expect(gpus({ tres_alloc_str: "cpu=2,gres/gpu=16,gres/gpu:h100=16" })).toBe(16);
  expect(gpus({ tres_per_job: "gres:gpu:h100:2" })).toBe(2);
  expect(gpus({ tres_per_job: "gres/gpu:h100=3" })).toBe(3);
  expect(gpus({ tres_per_node: "gres/gpu" })).toBe(2);
  expect(gpus({ tres_per_node: "gres:gpu:1g.10gb:3" })).toBe(6);
  expect(gpus({ tres_per_job: "gres/gpu:4g.40gb=2,gres/shard:4" })).toBe(2);
  expect(gpus({ tres_per_job: "gres/gpu:4g.40gb" })).toBe(1);
  expect(gpus({ tres_per_node: "gres:gpu:a100:1,gres:gpu:h100:2,gres:nic:4" })).toBe(6);
  expect(gpus({ tres_per_task: "gres:gpu:2", tasks: set(3) })).toBe(6);
  expect(gpus({})).toBe(0);
});

test("S43: a job has the nodes and the types of GPUs that it asks for by name", () => {
  const asks = (more: object) => {
    const job = jobs({ ...JOB_42, tres_per_node: "", ...more })?.[0];
    return [job?.gpuTypes, job?.requiredNodes];
  };
  expect(asks({})).toEqual([[], []]);
  expect(asks({ tres_per_node: "gres:gpu:4" })).toEqual([[], []]);
  expect(asks({ tres_per_node: "gres:gpu:h200:8", tres_per_job: "gres/gpu:1g.10gb=2" })).toEqual([
    ["1g.10gb", "h200"],
    [],
  ]);
  expect(asks({ required_nodes: "n[0-1]" })).toEqual([[], ["n0", "n1"]]);
  expect(asks({ required_nodes: "(null)" })).toEqual([[], []]);
});

test("S31: one row that cannot be read spoils the whole list", () => {
  expect(nodes(NODE_38, { ...NODE_38, name: "" })).toBeNull();
  expect(nodes({ ...NODE_38, state: 7, state_flags: [] })).toBeNull();
  expect(jobs(JOB_38, { ...JOB_38, nodes: "n[0-" })).toBeNull();
  expect(jobs({ ...JOB_38, job_state: null })).toBeNull();
  for (const value of [null, [], "x", {}, { nodes: {} }, { nodes: [null] }]) {
    expect(readNodes(value)).toBeNull();
  }
});
