// Package common stands in for a cloud's SDK that one of flannel's backends is linked with: that backend is never chosen here.
package common

// StringPtr points to a text.
func StringPtr(text string) *string { return &text }

// StringPtrs points to each of some texts.
func StringPtrs(texts []string) []*string {
	pointers := make([]*string, 0, len(texts))
	for n := range texts {
		pointers = append(pointers, &texts[n])
	}
	return pointers
}

// BoolPtr points to a truth.
func BoolPtr(truth bool) *bool { return &truth }
