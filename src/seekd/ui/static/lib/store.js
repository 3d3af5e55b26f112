// One store a page: a plain object that is replaced, never changed in place.
import { Component, h, useEffect, useState } from "../vendor/preact.js";

/** A store with `get`, `set` (an object that is merged, or a function that returns one) and `subscribe`. */
export function createStore(initial) {
  let state = initial;
  const listeners = new Set();
  return {
    get: () => state,
    set(change) {
      const next = typeof change === "function" ? change(state) : change;
      state = { ...state, ...next };
      for (const listener of listeners) listener(state);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** The part of a store that `select` picks; the component is drawn again when it changes. `select` stays the same. */
export function useStore(store, select = (state) => state) {
  const [part, setPart] = useState(() => select(store.get()));
  useEffect(() => {
    const update = (state) => setPart(() => select(state));
    update(store.get());
    return store.subscribe(update);
  }, [store]);
  return part;
}

/** The component, drawn again only when a property changes: an answer grows many times a second. */
export const memo = (inner, names) =>
  class extends Component {
    shouldComponentUpdate(next) {
      return (names ?? Object.keys({ ...next, ...this.props })).some((name) => next[name] !== this.props[name]);
    }
    render(props) {
      return h(inner, props);
    }
  };
