// Checks manifests by the code of the API server, without one.
//
//	manifests FOLDER-OF-MANIFESTS FOLDER-OF-FUNCTIONS
//
// Each document of the first folder, and of what lies in it, is read strictly: an unknown field or a wrong type is a
// fault. A definition of a resource is validated, with its rules and what they may cost. The pods of workloads are
// held to the Pod Security standard of their namespace. Then every Function below valid and invalid of the second
// folder is judged as an API server would that has the definition.
//
// One line for each fault, and at the end how many documents and functions were looked at.
package main

import (
	"fmt"
	"os"
)

// faults are told as they are found.
type faults int

func (f *faults) add(path, format string, values ...any) {
	*f++
	fmt.Printf("%s: %s\n", path, fmt.Sprintf(format, values...))
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: manifests FOLDER-OF-MANIFESTS FOLDER-OF-FUNCTIONS")
		os.Exit(2)
	}
	var found faults
	documents, err := readManifests(os.Args[1], &found)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	checkNamespaces(documents, &found)
	checkPods(documents, &found)
	definition := checkDefinition(documents, &found)
	functions := 0
	if definition != nil {
		functions = judgeFunctions(definition, os.Args[2], &found)
	}
	fmt.Printf("%d documents and %d functions, %d faults\n", len(documents), functions, int(found))
	if found > 0 {
		os.Exit(1)
	}
}
