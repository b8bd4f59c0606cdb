import { expect, test } from "bun:test";
import { seeded } from "../../simulator/engine/random.ts";
import { liveNode, seedAgain, seedNode } from "../../test/fixture/kubernetes/node.ts";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { newTally, playStory, toolRequest } from "../../test/real/kubernetes/cordon-story.ts";
import type { Ground } from "../../test/real/kubernetes/cordon-story.ts";
import { openFakeKube } from "../../simulator/cluster/fake.ts";

const STORIES = Number(process.env["STORIES"] ?? 1_500);
const SEED = Number(process.env["SEED"] ?? 20_261_121);

/** Waits are over at once: the story itself is what happens between. */
class HastyClock extends VirtualClock {
  override after(ms: number, work: () => void): () => void {
    const cancel = super.after(ms, work);
    if (ms < 1_000) void this.pass(ms);
    return cancel;
  }
}

function openGround(random: () => number): Ground {
  const clock = new HastyClock();
  const kube = openFakeKube({ clock, random });
  const name = "gpu-17";
  seedNode(kube, name);
  return {
    name,
    api: kube,
    clock,
    read: async () => liveNode(kube, name),
    person: {
      cordon: async () => kube.person.cordon(name),
      uncordon: async () => kube.person.uncordon(name),
      annotate: async (key, value) => kube.person.annotate("nodes", "", name, { [key]: value }),
      recreate: async () => void seedAgain(kube, name),
      wipe: async () => kube.person.wipeManagedFields(name),
      apply: async (isCordoned) => {
        const answer = await kube.call(toolRequest(name, isCordoned));
        expect(answer.kind).toBe("ok");
      },
    },
  };
}

test("holdCordon() and releaseCordon() never lift a person's cordon, nor fight over one", async () => {
  const tally = newTally();
  for (let i = 0; i < STORIES; i++) {
    const random = seeded(SEED + i);
    await playStory(openGround(random), random, tally);
    const { lifted, fights, stuck } = tally;
    expect({ seed: SEED + i, lifted, fights, stuck }).toEqual({
      seed: SEED + i,
      lifted: [],
      fights: [],
      stuck: [],
    });
  }
  // The stories must reach what they are about.
  const { answers, spared, conflicts } = tally;
  for (const [kind, count] of Object.entries({ ...answers, spared, conflicts })) {
    if (kind !== "refused") expect([kind, count > STORIES / 50]).toEqual([kind, true]);
  }
  if (process.env["TALLY"] !== undefined) console.log(tally);
}, 60_000);
