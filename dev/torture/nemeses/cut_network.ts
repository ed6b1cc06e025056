import type { ProxyMode } from "../../faulty_proxy.ts";
import type { Nemesis } from "../nemesis.ts";
import { pick } from "../schedule.ts";

const MODES: readonly ProxyMode[] = [
  { kind: "black-hole" },
  { kind: "mute" },
  { kind: "delay", delayMs: 300 },
  { kind: "slice", sliceBytes: 50 },
  { kind: "limit", bytesMax: 20_000 },
  { kind: "refuse" },
];

export default {
  nodes: 1,
  does: "delays, slices, drops, cuts, or refuses every connection to the broker, or its answers",
  visible: "delays",
  async strike(stage, [which, how, end]) {
    const { proxy } = stage;
    await stage.exclusively("network", async () => {
      const mode = pick(MODES, which);
      proxy?.setMode(mode);
      if (end < 0.5) proxy?.resetAll();
      else if (end < 0.7) proxy?.forgetAll();
      else if (end < 0.8) proxy?.cutAll();
      stage.tell(`network: ${mode.kind}`);
      await stage.wait(500 + how * 8_000);
      // The broker has handled requests whose responses are now lost.
      if (mode.kind === "mute") proxy?.resetAll();
      proxy?.setMode({ kind: "pass" });
      stage.tell("network: everything passes again");
    });
  },
} satisfies Nemesis;
