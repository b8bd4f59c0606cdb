import { expect, test } from "bun:test";
import { openMemorySlurm, slurmJob } from "../../test/world/memory-slurm.ts";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { openRestClient, type RestOptions } from "./rest.ts";
import type { RestAnswer, RestRequest } from "./rest-call.ts";

const NODE = { name: "n0", state: ["IDLE"], partitions: [], features: [] };
const META = { slurm: { release: "24.11.5" } };

type Server = { paths: Record<string, object>; answer: (request: RestRequest) => RestAnswer };

const json = (value: unknown, status = 200): RestAnswer => ({ kind: "json", status, value });
const error = (error_number: number, text: string, status = 500) => {
  const errors = [{ error_number, error: text, description: "Failure to update node n0" }];
  return json({ errors, warnings: [] }, status);
};

function pathsOf(version: string, ...methods: string[]): Record<string, object> {
  const node = Object.fromEntries(methods.map((method) => [method, {}]));
  return { [`/slurm/${version}/nodes/`]: {}, [`/slurm/${version}/node/{node_name}`]: node };
}

function open(server: Server, beside: RestOptions["beside"] = null) {
  const asked: string[] = [];
  const bodies: unknown[] = [];
  const call = async (request: RestRequest): Promise<RestAnswer> => {
    asked.push(`${request.method} ${request.path}`);
    if (request.body !== undefined) bodies.push(request.body);
    return request.path === "/openapi/v3" ? json({ paths: server.paths }) : server.answer(request);
  };
  return { client: openRestClient({ call, beside }), asked, bodies };
}

test("S37: the newest offered version that is known is used, and asked for once", async () => {
  const paths = { ...pathsOf("v0.0.40"), ...pathsOf("v0.0.42"), ...pathsOf("v0.0.99") };
  const answer = (): RestAnswer => json({ nodes: [NODE], jobs: [], meta: META, errors: [] });
  const { client, asked } = open({ paths, answer });
  expect(await client.nodes()).toMatchObject({ kind: "ok", value: [{ name: "n0" }] });
  expect(await client.jobs()).toEqual({ kind: "ok", value: [] });
  expect(asked).toEqual(["GET /openapi/v3", "GET /slurm/v0.0.42/nodes", "GET /slurm/v0.0.42/jobs"]);
  expect(client.describe()).toBe("slurmrestd v0.0.42, Slurm 24.11.5");
});

test("S37: after an upgrade the version is asked for again", async () => {
  const gone: RestAnswer = {
    ...{ kind: "failed", message: "HTTP 404, expected JSON", status: 404, isUnsent: false },
  };
  const server: Server = { paths: pathsOf("v0.0.38"), answer: () => json({ nodes: [NODE] }) };
  const { client, asked } = open(server);
  expect(await client.nodes()).toMatchObject({ kind: "ok" });
  server.paths = pathsOf("v0.0.42");
  server.answer = ({ path }) => (path.includes("v0.0.38") ? gone : json({ nodes: [NODE] }));
  expect(await client.nodes()).toMatchObject({ kind: "refused" });
  expect(await client.nodes()).toMatchObject({ kind: "ok" });
  expect(asked.at(-1)).toBe("GET /slurm/v0.0.42/nodes");
});

test("S37: a server without a known version is told", async () => {
  const { client } = open({ paths: pathsOf("v0.0.37"), answer: () => json({}) });
  expect(await client.nodes()).toEqual({
    kind: "failed",
    message: "slurmrestd offers no version from v0.0.38 to v0.0.44 for slurmctld",
  });
});

test("S37: writes go over REST where the version has them, else through the commands", async () => {
  const done = (): RestAnswer => json({ errors: [], warnings: [] });
  const newer = open({ paths: pathsOf("v0.0.42", "get", "post"), answer: done });
  const change = { state: "drain", reason: "navarch:s XID79 lost" } as const;
  expect(await newer.client.update(["n0"], change)).toEqual({ kind: "ok", value: null });
  expect(newer.asked.at(-1)).toBe("POST /slurm/v0.0.42/node/n0");
  expect(newer.bodies).toEqual([{ state: ["DRAIN"], reason: "navarch:s XID79 lost" }]);
  const clock = new VirtualClock();
  const commands = openMemorySlurm(clock, "n0");
  const older = open({ paths: pathsOf("v0.0.38", "get"), answer: done }, commands.client);
  const written = older.client.update(["n0"], change);
  await clock.pass(100);
  expect(await written).toEqual({ kind: "ok", value: null });
  expect(commands.nodes.get("n0")?.flags).toEqual(["DRAIN"]);
  const alone = open({ paths: pathsOf("v0.0.38", "get"), answer: done });
  expect(await alone.client.update(["n0"], change)).toMatchObject({ kind: "refused" });
});

test("S31: an answer with errors is no success, whatever its status", async () => {
  const server: Server = { paths: pathsOf("v0.0.42", "post"), answer: () => json({}) };
  const { client } = open(server);
  const write = async (answer: RestAnswer) => {
    server.answer = () => answer;
    return (await client.update(["n0"], { state: "undrain" })).kind;
  };
  expect(await write(error(2_018, "Invalid node name specified", 200))).toBe("refused");
  expect(await write(error(9_207, "Data parser unable to parse invalid flag"))).toBe("refused");
  expect(await write(error(0, "No error", 200))).toBe("failed");
  expect(await write(error(1_800, "Unable to contact slurm controller", 502))).toBe("failed");
  expect(await write(error(5_004, "Socket timed out", 504))).toBe("failed");
  expect(await write(json({ errors: "many" }))).toBe("failed");
  expect(await write(json([]))).toBe("failed");
  expect(await write(json({}, 503))).toBe("failed");
});

test("S31: an unknown node is left out, and an unreadable list is no list", async () => {
  const unknown = [{ error_number: 0, error: "No error", description: "Failure to query node n9" }];
  const { client } = open({
    paths: pathsOf("v0.0.42"),
    answer: ({ path }) => {
      if (path.endsWith("/n9")) return json({ errors: unknown });
      return json(path.endsWith("/n0") ? { nodes: [NODE] } : { nodes: [{ name: "n1" }] });
    },
  });
  expect(await client.nodes(["n0", "n9"])).toMatchObject({ kind: "ok", value: [{ name: "n0" }] });
  expect(await client.nodes()).toEqual({
    kind: "failed",
    message: "slurmrestd: the nodes cannot be read",
  });
});

test("S28: names that mean several nodes, and drains without a reason, are not sent", async () => {
  const { client, asked } = open({ paths: pathsOf("v0.0.42", "post"), answer: () => json({}) });
  for (const name of ["n[0-1]", "n0,n1", "ALL/x", ""]) {
    expect(await client.update([name], { state: "undrain" })).toMatchObject({ kind: "refused" });
  }
  expect(await client.update(["n0"], { state: "drain" })).toMatchObject({ kind: "refused" });
  expect(await client.update(["n0"], { state: "down", reason: "" })).toMatchObject({
    kind: "refused",
  });
  expect(asked).toEqual([]);
});

test("S32: a queue that is long or late is read by squeue, where the commands are", async () => {
  const memory = openMemorySlurm(new VirtualClock(), "n0");
  const rows = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ job_id: index + 1, job_state: ["PENDING"] }));
  const late: RestAnswer = {
    ...{ kind: "failed", message: "slurmrestd: no answer within 10 s", status: null },
    isUnsent: false,
  };
  let answer = json({ jobs: rows(2_000) });
  let isThere = true;
  const failed = { kind: "failed", message: "squeue: cannot be started" } as const;
  const said = (jobs: typeof memory.jobs) => ({ kind: "ok", value: jobs }) as const;
  let queue = memory.jobs;
  const beside = { ...memory.client, jobs: async () => (isThere ? said(queue) : failed) };
  const { client, asked } = open({ paths: pathsOf("v0.0.42"), answer: () => answer }, beside);
  const next = async (): Promise<[string, boolean]> => {
    asked.length = 0;
    const read = await client.jobs();
    const isRest = asked.some((path) => path.endsWith("/jobs"));
    return [read.kind === "ok" ? `${read.value.length} jobs` : read.message, isRest];
  };
  expect(await next()).toEqual(["2000 jobs", true]);
  queue = Array.from({ length: 2_000 }, (_, index) => slurmJob(String(index)));
  expect(await next()).toEqual(["2000 jobs", false]);
  queue = [slurmJob("1")];
  expect(await next()).toEqual(["1 jobs", false]);
  // Once it is short, slurmrestd is asked again.
  answer = late;
  expect(await next()).toEqual([late.message, true]);
  expect(await next()).toEqual(["1 jobs", false]);
  isThere = false;
  expect(await next()).toEqual([late.message, true]);
  expect(await next()).toEqual([late.message, false]);
  answer = json({ jobs: rows(3_000) });
  expect(await next()).toEqual(["3000 jobs", true]);
  expect(await next()).toEqual(["3000 jobs", true]);
});
