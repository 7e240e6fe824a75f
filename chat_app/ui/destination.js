/**
 * Where the reader is going: known from the click on, some time before that page is built. Until
 * then the old page still handles what the server says, and must not call the reader back.
 */
import { useLayoutEffect } from "react";
import { useBlocker, useLocation } from "react-router";

let destination = "";

/** For one component per page: a router accepts only one blocker. */
export function useDestination() {
  const here = useLocation();
  useLayoutEffect(() => {
    destination = here.pathname;
  }, [here]);
  useBlocker(trackNavigation);
}

/** @param {string} place A page's path. @returns {boolean} Whether the reader is there and stays. */
export function staysAt(place) {
  return plain(destination) === plain(place);
}

function plain(path) {
  return path.replace(/\/+$/, "");
}

/** Called by the router when a navigation begins; blocks nothing. */
function trackNavigation({ nextLocation }) {
  destination = nextLocation.pathname;
  return false;
}
