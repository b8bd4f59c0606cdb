/** What is logged of permissions that are missing and of webhooks that refuse, and how often. */
import { beforeEach, describe, expect, test } from "bun:test";
import type { KubeAnswer, KubeApi, KubeRequest, WatchEnd } from "./api.ts";
import { heard } from "./refusal-log.ts";

const ACCOUNT = "system:serviceaccount:navarch:navarch-control-plane";
const OK: KubeAnswer = { kind: "ok", status: 200, body: {} };

const refusedBy = (message: string, status = 403): KubeAnswer => ({
  ...{ kind: "refused", status, reason: "Forbidden", message, causes: [], retryAfterMs: null },
});
const noRight = (verb: string, resource: string, group = ""): KubeAnswer =>
  refusedBy(
    `x is forbidden: User "${ACCOUNT}" cannot ${verb} resource "${resource}" ` +
      `in API group "${group}" at the cluster scope`,
  );
const denied = (code = 403): KubeAnswer =>
  refusedBy('admission webhook "gate.example" denied the request: change window', code);

type Line = { level: string; msg: string; fields: Record<string, unknown> };

let lines: Line[];
let answer: KubeAnswer;
let end: WatchEnd;
let clock: { mono: number; monoMs(): number };
let api: KubeApi;

const open = (isOptional = false): void => {
  const server: KubeApi = {
    call: async () => answer,
    watch: async (_path, _query, take) => {
      if (end.kind === "ended") take({ type: "BOOKMARK", object: {} });
      return end;
    },
    close: () => undefined,
  };
  api = heard(server, {
    clock,
    isOptional,
    log: (level, msg, fields = {}) => void lines.push({ level, msg, fields }),
  });
};

beforeEach(() => {
  lines = [];
  answer = OK;
  end = { kind: "ended" };
  clock = { mono: 0, monoMs: () => clock.mono };
  open();
});

const ask = async (
  given: KubeAnswer,
  path = "/api/v1/nodes/gpu-7/status",
  more: Partial<KubeRequest> = {},
): Promise<void> => {
  answer = given;
  await api.call({ verb: "patch", path, timeoutMs: 1, lane: "status", ...more });
};

describe("a permission that is missing", () => {
  const no = noRight("patch", "nodes/status");

  test("is one error with the Node, the permission, the account and what to apply", async () => {
    await ask(no);
    expect(lines).toEqual([
      {
        level: "error",
        msg: "Kubernetes denies a permission",
        fields: {
          ...{ permission: "patch nodes/status", kube_node: "gpu-7", account: ACCOUNT },
          reason: expect.stringContaining("patch nodes/status"),
          advice: expect.stringContaining("deploy/11-role.yaml"),
        },
      },
    ]);
  });

  test("is logged again ever more rarely while it lasts, over all Nodes", async () => {
    for (let minute = 0; minute < 600; minute++) {
      for (let node = 0; node < 20; node++) await ask(no, `/api/v1/nodes/gpu-${node}/status`);
      clock.mono += 60_000;
    }
    const times = lines.map(({ fields }) => fields["for_s"] ?? 0);
    expect(times.slice(0, 5)).toEqual([0, 60, 180, 420, 900]);
    expect(lines.length).toBeLessThan(17);
    expect(lines[1]?.fields["times"]).toBe(21);
  });

  test("is one line when it works again, and an error again when it is taken again", async () => {
    await ask(no);
    clock.mono = 12_000;
    await ask(OK, "/api/v1/nodes/gpu-9/status");
    await ask(OK);
    await ask(no);
    expect(lines.map(({ level, msg }) => [level, msg])).toEqual([
      ["error", "Kubernetes denies a permission"],
      ["info", "Kubernetes accepts it again"],
      ["error", "Kubernetes denies a permission"],
    ]);
    expect(lines[1]?.fields).toMatchObject({ permission: "patch nodes/status", for_s: 12 });
  });

  test("of one namespace lasts while another namespace is allowed", async () => {
    const evict = (namespace: string, given: KubeAnswer) =>
      ask(given, `/api/v1/namespaces/${namespace}/pods/p/eviction`, { verb: "create" });
    await evict("closed", noRight("create", "pods/eviction"));
    for (let i = 0; i < 5; i++) {
      await evict("open", OK);
      await evict("closed", noRight("create", "pods/eviction"));
    }
    expect(lines).toHaveLength(1);
    expect(lines[0]?.fields).toMatchObject({ object: "closed/p" });
    await evict("closed", OK);
    expect(lines.map(({ level }) => level)).toEqual(["error", "info"]);
  });

  test("to mark a Node is its event's to tell; that it works again is told here", async () => {
    const path = "/api/v1/nodes/gpu-7";
    await ask(noRight("patch", "nodes"), path, { lane: "cordon" });
    expect(lines).toEqual([]);
    await ask(OK, path, { lane: "cordon" });
    expect(lines).toMatchObject([{ level: "info", fields: { permission: "patch nodes" } }]);
  });

  test("to watch is told like any other", async () => {
    const message = `x: User "${ACCOUNT}" cannot watch resource "pods" in API group ""`;
    end = { kind: "refused", status: 403, message, retryAfterMs: null };
    const watch = () =>
      api.watch("/api/v1/pods", {}, () => undefined, {
        signal: new AbortController().signal,
        silenceMs: 1,
      });
    await watch();
    end = { kind: "ended" };
    await watch();
    expect(lines.map(({ level, fields }) => [level, fields["permission"]])).toEqual([
      ["error", "watch pods"],
      ["info", "watch pods"],
    ]);
  });

  test("in a cluster that was found and never let us in is a warning; one taken away is not", async () => {
    open(true);
    await ask(noRight("list", "nodes"), "/api/v1/nodes", { verb: "list", lane: "read" });
    expect(lines[0]?.level).toBe("warn");
    await ask(OK, "/api/v1/pods", { verb: "list", lane: "read" });
    await ask(no);
    expect(lines.at(-1)?.level).toBe("error");
  });
});

describe("a webhook that refuses", () => {
  test.each([403, 422, 429, 500, 503])("is named with its words and its end (%d)", async (code) => {
    await ask(denied(code));
    await ask(denied(code), "/api/v1/nodes/gpu-8/status");
    await ask(OK, "/api/v1/nodes/gpu-9/status");
    expect(lines).toMatchObject([
      {
        level: "error",
        msg: "admission refuses a write",
        fields: { write: "patch nodes/status", by: "gate.example", kube_node: "gpu-7" },
      },
    ]);
    expect(String(lines[0]?.fields["reason"])).toContain("change window");
    await ask(OK);
    await ask(OK, "/api/v1/nodes/gpu-8/status");
    const fields = { refused_by: "webhook gate.example" };
    expect(lines[1]).toMatchObject({ level: "info", fields });
  });

  test("is forgotten once nothing was refused for half an hour", async () => {
    await ask(denied());
    clock.mono = 1_800_000;
    await ask(denied());
    expect(lines.map(({ fields }) => fields["times"])).toEqual([undefined, undefined]);
  });
});

test.each<[string, KubeAnswer]>([
  ["a conflict", refusedBy("the object has been modified", 409)],
  ["a disruption budget", refusedBy("Cannot evict pod as it would violate the budget", 429)],
  ["an answer that got lost", { kind: "lost", message: "no route" }],
])("%s is none of it", async (_name, given) => {
  await ask(given);
  await ask(OK);
  expect(lines).toEqual([]);
});

test("what doctor asks about our own permissions is none of it", async () => {
  const path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
  await ask(noRight("create", "selfsubjectreviews"), path, { verb: "create", lane: "read" });
  expect(lines).toEqual([]);
});
