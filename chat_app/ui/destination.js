/**
 * Where the reader goes: known from the click on, some time before the page there is built. What the
 * server says meanwhile is heard by the page that is left, and must not call the reader back.
 */
import { useLayoutEffect } from "react";
import { useBlocker, useLocation } from "react-router";

let destination = "";

/** For one component of each page: a router takes no more than one. */
export function useDestination() {
  const here = useLocation();
  useLayoutEffect(() => {
    destination = here.pathname;
  }, [here]);
  useBlocker(follow);
}

/** @param {string} place Path of a page. @returns {boolean} Whether the reader is there, and stays. */
export function staysAt(place) {
  return plain(destination) === plain(place);
}

function plain(path) {
  return path.replace(/\/+$/, "");
}

/** Asked by the router at the beginning of each way; nothing is barred. */
function follow({ nextLocation }) {
  destination = nextLocation.pathname;
  return false;
}
