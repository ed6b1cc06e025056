/** Shows a dashboard and crashes half a second later in the way that the argument names. */

import { ReadModel } from "../../lib/monitor/model/read_model.ts";
import { openDashboard } from "../../lib/monitor/screen/dashboard.ts";

const model = new ReadModel();
const CRASHES: Readonly<Record<string, () => void>> = {
  throws: () => {
    throw new Error("thrown by a timer");
  },
  rejects: () => void Promise.reject(new Error("rejected, and awaited by nobody")),
  exits: () => Deno.exit(7),
};

setTimeout(() => CRASHES[Deno.args[0] ?? ""]?.(), 500);
await openDashboard({
  follower: {
    search: () => {
      throw new Error("not searched");
    },
    endSearch: () => {},
    follow: () => new Promise(() => {}),
    snapshot: () => {
      model.tick(Date.now());
      return model.snapshot({ nowMs: Date.now() });
    },
  },
  folder: "logs",
  intervalMs: 100,
  signal: new AbortController().signal,
  onQuit: () => {},
});
