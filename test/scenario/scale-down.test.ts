/**
 * A smaller queue and the nodes that people work on: whom a scale-down takes, and whom it leaves
 * alone. The jobs "finish → back to min, without touching a busy node". What is marked as failing
 * is what `scaling/candidate.ts` and `decideScaleDown` do not keep yet; whoever fixes it is told by the
 * test that then passes.
 */
import { afterEach, describe, expect, test } from "bun:test";
import type { NodeId } from "../../schema/id.ts";
import { closeWorlds, open } from "../world/story.ts";
import { BASE, type World } from "../world/world.ts";

afterEach(closeWorlds);

const YAML = `${BASE}
pools:
  - name: p
    provider: fake
    instance_type: h100-8x
    health: { unhealthy_threshold: 1 }
    scaling:
      min_nodes: 1
      max_nodes: 6
      cooldown_period: 0s
      autoscaler: { type: queue, jobs_per_node: 1, scale_down_after: 0s }
`;

class Story {
  readonly w: World;
  depth = 0;
  private constructor(w: World) {
    this.w = w;
  }

  /** `count` nodes in service, as many jobs in the queue. */
  static async open(count: number): Promise<Story> {
    const story = new Story(await open(YAML));
    story.depth = count;
    await story.pass(120);
    expect(story.w.serving().length).toBe(count);
    return story;
  }

  /** `seconds` of life in which the source repeats its word. */
  async pass(seconds: number): Promise<void> {
    for (let i = 0; i < seconds; i += 10) {
      await this.w.reconciler.change((draft) => {
        const pool = [...this.w.reconciler.fleet().pools.values()][0];
        const observedAt = this.w.clock.wallMs();
        const demand = { pendingJobs: 0, queueDepth: this.depth, observedAt, by: "ci" };
        if (pool !== undefined) draft.putPool({ ...pool, demand });
      });
      await this.w.live(10);
    }
  }

  busy(id: string): void {
    this.w.agent(id).processes = 1;
  }

  /** Nothing was done to the node. */
  untouched(id: string): void {
    expect(this.w.story(id)).not.toContain("node.draining");
    expect(this.w.node(id).phase.kind).toBe("serving");
  }
}

describe("a queue that empties", () => {
  test("takes every idle node, in whatever order they came, and no busy one", async () => {
    for (const chosen of [0, 1, 2, 3]) {
      const story = await Story.open(4);
      const id = story.w.serving()[chosen] ?? "";
      story.busy(id);
      story.depth = 0;
      await story.pass(120);
      expect(story.w.serving()).toEqual([id]);
      story.untouched(id);
      await closeWorlds();
    }
  });

  test("takes nobody while everybody is busy, and one by one as they finish", async () => {
    const story = await Story.open(3);
    const all = story.w.serving();
    for (const id of all) story.busy(id);
    story.depth = 0;
    await story.pass(180);
    for (const id of all) story.untouched(id);
    const [first = "", second = "", third = ""] = all;
    story.w.agent(second).processes = 0;
    await story.pass(120);
    expect(story.w.serving().toSorted()).toEqual([first, third].toSorted());
    story.untouched(first);
    story.untouched(third);
  });

  test("takes none of which nobody can tell", async () => {
    const story = await Story.open(3);
    const all = story.w.serving();
    for (const id of all) story.w.agent(id).processes = null;
    story.depth = 0;
    await story.pass(300);
    for (const id of all) story.untouched(id);
  });

  test("leaves a busy node that a person cordoned, while others are idle", async () => {
    const story = await Story.open(4);
    const [busy = ""] = story.w.serving();
    story.busy(busy);
    await story.w.reconciler.change((draft) => {
      const node = draft.node(busy as NodeId);
      const human = { by: "human:ann", why: "looking", at: story.w.clock.wallMs() };
      if (node !== null) draft.putNode({ ...node, cordon: { ...node.cordon, human } });
    });
    story.depth = 0;
    await story.pass(180);
    story.untouched(busy);
  });

  test("lets a node go again on which work arrived as it was marked", async () => {
    const story = await Story.open(2);
    const cordon = story.w.scheduler.cordon.bind(story.w.scheduler);
    let late = "";
    story.w.scheduler.cordon = async (node, why, fence) => {
      const answer = await cordon(node, why, fence);
      // A job was placed while the mark was on its way.
      if (late === "") story.busy((late = node));
      return answer;
    };
    story.depth = 0;
    await story.pass(60);
    expect(late).not.toBe("");
    expect(story.w.story(late)).not.toContain("node.draining");
  });

  test("leaves those alone that became busy before the smaller size could be acted on", async () => {
    const story = await Story.open(3);
    const all = story.w.serving();
    story.depth = 1;
    // One evaluation lowers the size, and the scheduler takes no mark for a while.
    const cordon = story.w.scheduler.cordon.bind(story.w.scheduler);
    story.w.scheduler.cordon = async () => ({ kind: "refused", message: "not now" });
    await story.pass(40);
    const desired = [...story.w.reconciler.fleet().pools.values()][0]?.desired;
    expect(desired).toBe(1);
    for (const id of all) story.busy(id);
    story.depth = 3;
    story.w.scheduler.cordon = cordon;
    await story.pass(120);
    for (const id of all) story.untouched(id);
    expect(story.w.serving().length).toBe(3);
  });
});
